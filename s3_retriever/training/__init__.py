"""Making profiles: autoencoders and calibration.

It stands above the engine and below the command line: calibrating the weights of the legs retrieves
as an :class:`~s3_retriever.Engine` does. Nothing that answers questions imports it.
"""
