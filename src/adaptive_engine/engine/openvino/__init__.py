"""Models as graphs of the OpenVINO runtime: of any family that it has, on any CPU."""
