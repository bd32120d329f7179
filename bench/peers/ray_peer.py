"""A classifier behind Ray Serve, two replicas: python ray_peer.py MODEL PORT BATCH."""

import sys
import time

import ray
from ray import serve
from transformers import pipeline

MODEL, PORT, BATCH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


@serve.deployment(num_replicas=2, max_ongoing_requests=2 * BATCH, ray_actor_options={"num_cpus": 1})
class Classifier:
    def __init__(self):
        self.pipe = pipeline("text-classification", model=MODEL, device="cpu")

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.01)
    async def several(self, texts):
        return [[each] for each in self.pipe(texts, batch_size=len(texts), truncation=True)]

    async def __call__(self, request):
        return await self.several((await request.json())["inputs"])


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Classifier.bind(), route_prefix="/invocations")
    while True:
        time.sleep(3600)
