"""Makes what the model repository serves: reads trained weights, writes ONNX graphs and their configs, fits heads.

Only the fitting needs torch; building a bundle does not.
"""

import sosie.training.offline  # noqa: F401 -- onnxruntime looks for what it sets when it is imported
