"""A shop of drawn products with known truth, for demos without photographs and for tests with an answer key.

    palette, patterns     what a product's surface looks like
    curves, canvas        how a shape becomes shaded pixels
    shoes, open_shoes, tops, bottoms, bags, accessories, instruments      the silhouettes
    scene                 background, light and shadow of a picture
    kinds, plan           which products there are, and their truth
    catalog, writing      what the shop says of them, and the files

It stands on the contract (`sosie.v1.product_pb2`) and on no other room.
"""
