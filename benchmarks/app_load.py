"""Send the web app many requests at once: is every one answered, and how long does it take?

Run `PYTHONPATH=src python benchmarks/app_load.py [MODEL]` from the project's root; needs the extras `app` and `dev`.
The server is a process of its own, as `maskdet app` starts it; without MODEL it serves the model that ships.
"""

import argparse
import asyncio
import subprocess
import sys
import time

import cv2
import httpx
import numpy as np

from maskdet.data.sample.scenes import draw_scene
from maskdet.inference.runtime import shipped_model_path

NUM_REQUESTS, NUM_ROUNDS, NUM_SCENES = 50, 2, 5
_SERVE = "import sys; from maskdet.app.command import run_app; run_app(sys.argv[1:], port=0, has_two_phase=False)"


def scenes() -> list[bytes]:
    """Return drawn scenes as JPEG files."""
    images = [draw_scene(0, index).image[:, :, ::-1] for index in range(NUM_SCENES)]
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


async def send_at_once(url: str, pictures: list[bytes]) -> tuple[list[float], int]:
    """Send all requests at the same time.

    Args:
        url: Of the app.
        pictures: Sent in turn.

    Returns:
        Seconds until each answer that came, and how many came wrong or not at all.
    """
    limits = httpx.Limits(max_connections=NUM_REQUESTS)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits, trust_env=False) as client:

        async def send(number: int) -> float | None:
            began = time.perf_counter()
            try:
                answer = await client.post("/api/detect", content=pictures[number % len(pictures)])
            except httpx.HTTPError:
                return None
            is_whole = answer.status_code == 200 and "faces" in answer.json()
            return time.perf_counter() - began if is_whole else None

        took = await asyncio.gather(*(send(number) for number in range(NUM_REQUESTS)))
    seconds = [value for value in took if value is not None]
    return seconds, NUM_REQUESTS - len(seconds)


def main() -> None:
    """Print what became of the requests of each round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="*", help="model files; default: the one that ships")
    words = parser.parse_args().model
    try:
        words = words or [str(shipped_model_path())]
    except FileNotFoundError as error:
        print(f"nothing to time: {error}")
        return
    server = subprocess.Popen([sys.executable, "-c", _SERVE, *words], stdout=subprocess.PIPE, text=True)
    try:
        for line in server.stdout:
            if line.startswith("page:"):
                break
        else:
            raise SystemExit("the app did not start")
        url, pictures = line.split()[1], scenes()
        httpx.get(f"{url}health", timeout=60, trust_env=False).raise_for_status()
        for number in range(NUM_ROUNDS):
            began = time.perf_counter()
            seconds, num_lost = asyncio.run(send_at_once(url, pictures))
            wall = time.perf_counter() - began
            p50, p95 = np.percentile(seconds, [50, 95]) if seconds else (float("nan"), float("nan"))
            print(
                f"round {number}: {NUM_REQUESTS} at once, {num_lost} lost; median {p50:.2f} s, p95 {p95:.2f} s; "
                f"{len(seconds) / wall:.1f} pictures/s"
            )
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
