#!/usr/bin/env bash
# Tests and benchmarks for a machine with a GPU: `gpu.sh TOOLS OUT [STEP...]`; runs all steps if none is named.
#
# TOOLS contains `smolvlm`, `integration` (the goldens on devices) and, for CUDA builds without LLVM, `stubs.so`; `cargo
# xtask gpu-bundle` creates it. Every step has a time limit and writes its output to OUT/STEP.txt while it runs, so that
# a step that hangs does not affect the results of others. The exit status is the number of failed steps.
#
#   SMOLVLM_DEVICE   the device, cuda if unset
#   BENCH_MODEL      the model: arguments of `smolvlm bench`, "--random 256m --dtype bf16" if unset
#   BENCH_WORDS      further arguments of `smolvlm bench`, such as --quick
#   STEP_LIMIT       maximum number of seconds per step
set -uo pipefail
tools=$(realpath "$1") out=$(realpath "$2")
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)
export SMOLVLM_DEVICE=${SMOLVLM_DEVICE:-cuda}
model=${BENCH_MODEL:---random 256m --dtype bf16} words=${BENCH_WORDS:-}

# The cache of compiled and autotuned kernels is restored from an earlier run and saved again.
export XDG_CACHE_HOME=$out/kernels
mkdir -p "$XDG_CACHE_HOME"
[ -e "$tools/kernels.tar.gz" ] && tar -xzf "$tools/kernels.tar.gz" -C "$out"

# NVRTC and CUDA headers, from the toolkit or from Python packages.
for folder in /usr/local/cuda/lib64 $(python3 -c 'import nvidia; print(*nvidia.__path__)' 2>/dev/null |
  xargs -rI{} find {} -name 'libnvrtc*.so*' -printf '%h\n' 2>/dev/null | sort -u); do
  LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
ours() { env ${stubs:+LD_PRELOAD=$stubs} "$@"; }
[ -e "$tools/stubs.so" ] && stubs=$tools/stubs.so

# step NAME SECONDS COMMAND...
step() {
  local name=$1 start=$SECONDS most=${STEP_LIMIT:-$2}
  local limit=$(($2 < most ? $2 : most))
  shift 2
  [ ${#wanted[@]} -gt 0 ] && [[ " ${wanted[*]} " != *" $name "* ]] && return
  timeout --kill-after=5 "$limit" "$@" >"$out/$name.txt" 2>&1
  local status=$?
  [ $status -eq 0 ] || failed=$((failed + 1))
  echo "== $name: exit status $status after $((SECONDS - start)) s of $limit"
  tail -n "${TAIL:-25}" "$out/$name.txt" | cut -c -300
}
export -f ours
failed=0
export stubs tools root out model words
wanted=("$@")

step card 20 bash -c 'nvidia-smi; nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv; nvcc --version'
step devices 30 bash -c 'ours $tools/smolvlm devices'
step demo 90 bash -c 'ours $tools/smolvlm describe --model demo --dtype f32 $root/tests/corpus/world/shapes.png'
TAIL=60 step bench 240 bash -c 'ours $tools/smolvlm bench $model $words'
step goldens 240 bash -c 'cd $root/tests && CARGO_MANIFEST_DIR=$root/tests ours $tools/integration devices:: --nocapture'
step matmuls 150 bash -c '[ ! -e $tools/gpu_matmuls ] || ours $tools/gpu_matmuls'
step profile 60 bash -c 'CUBECL_DEBUG_OPTION=profile-medium ours $tools/smolvlm bench $model --quick |
  tee $out/profile.log | grep -v "^$" | tail -n 200'
step checkpoint 60 bash -c 'ours $tools/smolvlm random --preset 256m --out /tmp/random-256m'
step peer 90 bash -c 'python3 $root/tests/bench/gpu_peer.py /tmp/random-256m'
step peer-compiled 180 bash -c 'python3 $root/tests/bench/gpu_peer.py /tmp/random-256m --compile'
step bench-500m 120 bash -c 'ours $tools/smolvlm bench --random 500m --dtype bf16 $words'

tar -czf "$out/kernels.tar.gz" -C "$out" kernels && rm -r "$XDG_CACHE_HOME"
exit $failed
