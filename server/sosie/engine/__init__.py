"""The core that gateway, indexer and training share: from a picture or a sentence to its nearest products.

It knows neither the contract's messages nor settings; what it needs is handed to it.
"""
