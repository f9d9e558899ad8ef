"""Pictures out of containers (MP4, MKV, AVI, MPEG-TS, ...) and network streams, by FFmpeg through PyAV.

Why PyAV and not OpenCV, which has the same FFmpeg: PyAV keeps each frame's own time, so that a variable frame rate
stays what it was; it says why a file is refused; a silent camera is given up after a time of our choosing; and it
writes H.264, which OpenCV's wheels for Linux cannot.
"""

import math
from collections.abc import Iterator

import av
import cv2
import numpy as np
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.video import VideoFrame, VideoStream

from maskdet.inference.video.frames import check_image_wh
from maskdet.inference.video.sources import is_address

OPEN_SECONDS, READ_SECONDS = 10.0, 5.0
"""How long a stream may stay silent when it is opened, and between two packets."""

USUAL_FRAME_RATE, _MAX_FRAME_RATE = 25.0, 480.0

_FILE_OPTIONS = {
    "protocol_whitelist": "file",  # a playlist that is called .mp4 does not reach the network
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,ivf,h264,hevc,av1,"
    "obu,m4v,mjpeg,mxf,nut,gif,dv,rm,wtv,swf,yuv4mpegpipe",  # neither playlists nor FFmpeg's films of text files
}
_STREAM_OPTIONS = {"rtsp_transport": "tcp"}  # whole frames: UDP loses packets, and with them parts of pictures
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class Decoder:
    """The first moving picture of a container, frame by frame.

    Args:
        location: A path or an address.
        name: What messages call it.

    Attributes:
        frame_rate: As declared, on average; `USUAL_FRAME_RATE` where nothing is.
        duration: In seconds; None where the container does not say, as files do and cameras do not.
        num_frames: As declared or as duration and rate say; None where the container knows neither.
        num_broken: Packets that could not be decoded so far; their frames are missing.
        is_cut_short: Whether the container ended by an error.

    Raises:
        ValueError: If it is no video, or cannot be reached; the message says why.
    """

    def __init__(self, location: str, name: str) -> None:
        self._name = name
        is_stream = is_address(location)
        try:
            self._container = av.open(
                location,
                options=open_options(location),
                metadata_errors="replace",
                timeout=(OPEN_SECONDS, READ_SECONDS) if is_stream else None,
            )
        except (FFmpegError, ValueError) as error:
            raise ValueError(f"{name}: expected a video, got {reason(error)}") from error
        self._stream = self._moving_picture()
        self._stream.thread_type = "AUTO"
        self.frame_rate = _usual_rate(self._stream.average_rate, self._stream.guessed_rate)
        duration = self._container.duration
        self.duration = None if duration is None else duration / av.time_base
        self.num_frames = self._stream.frames or (None if duration is None else round(self.duration * self.frame_rate))
        self.num_broken, self.is_cut_short = 0, False

    def _moving_picture(self) -> VideoStream:
        """Return the first stream that is no cover picture."""
        for stream in self._container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic and stream.codec_context is not None:
                return stream
        kinds = sorted({stream.type for stream in self._container.streams})
        self._container.close()
        raise ValueError(f"{self._name}: expected a video, got one of {', '.join(kinds) or 'nothing'}")

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the time in seconds by the container's clock, NaN where it has none, and (H, W, 3) uint8 RGB.

        Broken packets are counted and skipped; a container that breaks ends, and `is_cut_short` says so.

        Raises:
            ValueError: If a frame has an impossible size.
        """
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except FFmpegError:
                self.num_broken += 1
                continue
            for frame in frames:
                yield math.nan if frame.time is None else frame.time, self._upright_rgb(frame)

    def _packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets of the picture, at last None or an empty one, upon which the decoder gives what it held."""
        try:
            yield from self._container.demux(self._stream)
        except FFmpegError:  # what else the container holds cannot be reached
            self.is_cut_short = True
            yield None

    def _upright_rgb(self, frame: VideoFrame) -> np.ndarray:
        """Return the pixels as a person sees them, (H, W, 3) uint8 RGB."""
        check_image_wh(frame.width, frame.height, self._name)
        image = frame.to_ndarray(format="rgb24")
        turn = _TURNS.get(frame.rotation % 360)
        return image if turn is None else cv2.rotate(image, turn)

    def close(self) -> None:
        """Close the file or the connection."""
        self._container.close()


def open_options(location: str) -> dict[str, str]:
    """Return FFmpeg's options for opening a source."""
    return _STREAM_OPTIONS if is_address(location) else _FILE_OPTIONS


def reason(error: Exception) -> str:
    """Return what went wrong: FFmpeg's words without the path or address that it adds, which may hold a password."""
    if isinstance(error, InvalidDataError | ArgumentError):
        return "a file of another kind or a damaged one"
    return error.strerror if isinstance(error, FFmpegError) and error.strerror else str(error)


def _usual_rate(*rates: object) -> float:
    """Return the first rate that a camera may have; some containers declare their clock's 1000 or 90000 instead."""
    return next((float(rate) for rate in rates if rate and 1 <= rate <= _MAX_FRAME_RATE), USUAL_FRAME_RATE)
