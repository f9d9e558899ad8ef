"""Open whatever video a source means: a file, a camera, a stream."""

from pathlib import Path

from maskdet.inference.video.decoder import Decoder
from maskdet.inference.video.files import VideoFile
from maskdet.inference.video.frames import FrameSource
from maskdet.inference.video.live import Camera, LiveSource
from maskdet.inference.video.sources import camera_name, is_address, source_name


def open_frames(source: str | Path | int) -> FrameSource:
    """Open a video.

    Args:
        source: A camera's number (also as text), an address that FFmpeg opens (rtsp, rtmp, http, https, udp, ...), or a
            path. An address that tells its length is read like a file: no frame is lost, however slow the model.

    Returns:
        A source whose first frame was read already: it is a video.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no video, has no frames, or cannot be reached.
    """
    text = str(source)
    if text.isdecimal():
        index = int(text)
        return LiveSource(camera_name(index), lambda: Camera(index))
    name = source_name(text)
    if not is_address(text) and not Path(text).is_file():
        raise FileNotFoundError(f"{text}: expected a video file, found none")
    decoder = Decoder(text, name)
    try:
        if is_address(text) and decoder.duration is None:
            return LiveSource(name, lambda: Decoder(text, name), first=decoder)
        return VideoFile(decoder, text, name)
    except ValueError:
        decoder.close()
        raise
