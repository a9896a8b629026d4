"""From what a caller sends to the parts of the embedding that it fills."""

import asyncio
from concurrent.futures import Executor

import numpy as np

from sosie.engine.errors import BackendTimeoutError, NotIndexedError
from sosie.engine.image import Crop, prepare
from sosie.engine.inference import ImageInput, Pictures
from sosie.engine.space import Parts
from sosie.engine.store import picture_key, product_key
from sosie.gateway.backends import Embedder
from sosie.gateway.call import Call
from sosie.v1 import visual_search_pb2 as pb


class Inputs:
    """Reads pictures in the threads of `decoders`, and those that are indexed from the embedder's collection."""

    def __init__(self, decoders: Executor) -> None:
        self._decoders = decoders

    async def image_parts(self, embedder: Embedder, image: pb.Image, crop: Crop, call: Call) -> Parts:
        """The parts, [size] each, of a picture that was sent or is indexed."""
        encoder = embedder.encoder
        if image.WhichOneof("source") == "indexed":
            return await self._stored_parts(embedder, image.indexed, call)
        embedder.check()
        pictures = await self.decode(image.data, encoder.image_input, crop, call)
        with call.steps.measure("encode_image"):
            parts = await encoder.encode_images(pictures, timeout=call.left())
        return {name: vectors[0] for name, vectors in parts.items()}

    async def _stored_parts(self, embedder: Embedder, named: pb.IndexedPicture, call: Call) -> Parts:
        store = embedder.store
        with call.steps.measure("search"):
            if named.picture_id:
                key: str | None = picture_key(named.shop, named.product_id, named.picture_id)
            else:
                key = await store.first_picture(product_key(named.shop, named.product_id), timeout=call.left())
            vectors = await store.fetch([key] if key else [], timeout=call.left())
        if not key or key not in vectors:
            picture = f" picture {named.picture_id!r}" if named.picture_id else ""
            raise NotIndexedError(f"shop {named.shop!r} product {named.product_id!r}{picture} is not in the index")
        return embedder.space.split(vectors[key])

    async def decode(self, data: bytes, image_input: ImageInput, crop: Crop, call: Call) -> Pictures:
        """The call's picture as a model wants it; several models that want the same share one."""
        if image_input not in call.pictures:
            call.pictures[image_input] = await self._decode(data, image_input, crop, call)
        return call.pictures[image_input]

    async def _decode(self, data: bytes, image_input: ImageInput, crop: Crop, call: Call) -> Pictures:
        with call.steps.measure("decode"):
            loop = asyncio.get_running_loop()
            decoding = loop.run_in_executor(self._decoders, prepare, data, image_input, crop)
            try:
                return (await asyncio.wait_for(decoding, call.left()))[np.newaxis]
            except TimeoutError as error:
                raise BackendTimeoutError("the deadline passed while the picture was decoded") from error
