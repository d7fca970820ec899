#!/usr/bin/env bash
# Makes clips/: small videos whose frame k is gray of level 16 + 5 k, so that tests can identify frames.
# Made with ffmpeg 5.1.9 (libx264, libvpx). Usage: tests/corpus/clips.sh
set -euo pipefail
cd "$(dirname "$0")" && mkdir -p clips && cd clips

gray() { # gray FRAMES RATE SIZE OPTIONS...
  local frames=$1 rate=$2 size=$3
  shift 3
  ffmpeg -v error -y -f lavfi -i "color=black:s=$size:r=$rate,format=gray,geq=lum='16+5*N',format=yuv420p" \
    -frames:v "$frames" -map_metadata -1 -fflags +bitexact -flags:v +bitexact -threads 1 "$@"
}
h264=(-c:v libx264 -qp 10 -bf 2 -g 10 -x264-params "sei=0")

gray 40 8 64x48 "${h264[@]}" plain.mp4
gray 40 8 64x48 "${h264[@]}" -f mpegts transport.ts
gray 40 8 64x48 "${h264[@]}" raw.h264
gray 40 30000/1001 64x48 "${h264[@]}" ntsc.mkv
gray 40 8 64x48 -c:v mpeg4 -qscale:v 2 -bf 2 -g 10 packed.avi
gray 40 8 64x48 -c:v libvpx -b:v 200k -auto-alt-ref 1 -lag-in-frames 16 -g 10 hidden-frames.webm
gray 1 8 64x48 "${h264[@]}" one-frame.mp4
gray 6 8 33x17 -c:v mjpeg -pix_fmt yuvj420p -q:v 2 odd.mkv
gray 12 8 64x48 "${h264[@]}" -f matroska - | cat >live.mkv
# Frames 5 and later are two seconds late; each frame keeps its own timestamp.
gray 10 8 64x48 -vf "setpts='PTS+gte(N,5)*2/TB'" -vsync vfr -c:v libx264 -qp 10 -bf 0 variable.mkv
# The left half is dark, the right half bright; displayed rotated by 90 degrees.
ffmpeg -v error -y -f lavfi -i "color=black:s=32x32:r=8[a];color=white:s=32x32:r=8[b];[a][b]hstack,format=yuv420p" \
  -frames:v 3 -fflags +bitexact "${h264[@]}" upright.mp4
ffmpeg -v error -y -display_rotation 90 -i upright.mp4 -c copy -fflags +bitexact turned.mp4 2>/dev/null ||
  ffmpeg -v error -y -i upright.mp4 -c copy -metadata:s:v:0 rotate=90 -fflags +bitexact turned.mp4
rm upright.mp4
# One color, (200, 60, 30), in the matrices of standard and high definition.
for matrix in bt470bg bt709 bt2020nc; do
  ffmpeg -v error -y -f lavfi -i "color=0xC83C1E:s=32x32:r=8,format=rgb24" -frames:v 2 \
    -vf "scale=out_color_matrix=$matrix,format=yuv420p" -colorspace "$matrix" -fflags +bitexact "${h264[@]}" \
    "colour-$matrix.mp4"
done
ffmpeg -v error -y -f lavfi -i "sine=440:d=0.3" -c:a aac -b:a 32k -fflags +bitexact sound.m4a
ffmpeg -v error -y -i plain.mp4 -vf "scale=32:24,format=gray" -frames:v 12 -fflags +bitexact moving.gif
ffmpeg -v error -y -i plain.mp4 -vf "scale=32:24" -frames:v 12 -lossless 1 -fflags +bitexact moving.webp
ffmpeg -v error -y -i plain.mp4 -vf "scale=32:24,format=rgb24" -frames:v 12 -f apng -plays 0 -fflags +bitexact moving.apng
# Program streams, in which only the first packet has a timestamp. cut-*.mp4, cut.flv and notrailer.gif are truncated files.
ffmpeg -v error -y -f lavfi -i "color=gray:s=64x48:r=25" -frames:v 40 -c:v mpeg2video -g 3 -bf 0 -q:v 9 -f mpeg a.mpg
ffmpeg -v error -y -f lavfi -i "color=gray:s=64x48:r=25" -frames:v 250 -c:v mpeg2video -g 12 -bf 0 -q:v 9 -f mpeg ps10s.mpg
ls -l
