"""A classifier behind LitServe: python litserve_peer.py MODEL PORT BATCH (1: no batching)."""

import sys

import litserve
from transformers import pipeline

MODEL, PORT, BATCH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Classifier(litserve.LitAPI):
    def setup(self, _device):
        self.pipe = pipeline("text-classification", model=MODEL, device="cpu")

    def decode_request(self, request):
        return request["inputs"]

    def predict(self, inputs):
        if isinstance(inputs, list):
            return [[each] for each in self.pipe(inputs, batch_size=len(inputs), truncation=True)]
        return self.pipe(inputs, truncation=True)

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    batching = {"max_batch_size": BATCH, "batch_timeout": 0.01} if BATCH > 1 else {}
    api = Classifier(api_path="/invocations", **batching)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2, timeout=60)
    server.run(
        host="127.0.0.1", port=PORT, generate_client_file=False, num_api_servers=1, log_level="warning"
    )
