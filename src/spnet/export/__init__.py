"""A network as one file that needs no `spnet` to run: ONNX, or torch.export's own (docs/export.md)."""
