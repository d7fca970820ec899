"""What Python adds to a request: `python python_overhead.py`. See README.md."""

import statistics
import time

import smolvlm

model = smolvlm.SmolVLM.from_pretrained("demo", device="cpu", threads=1)
question = [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]
added = []
for index in range(200):
    start = time.perf_counter()
    answer = model.generate(question, max_new_tokens=4)
    added.append(time.perf_counter() - start - answer.timings.total)
print(f"beside the engine: median {statistics.median(added) * 1e3:.2f} ms, most {max(added[10:]) * 1e3:.2f} ms")
