"""Fits heads to a catalog: small networks on frozen towers, judged on products that they have never seen."""
