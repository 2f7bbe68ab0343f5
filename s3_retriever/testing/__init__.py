"""Contract suites: what every implementation of a protocol has to pass, run with pytest.

A suite is a class of tests that an implementation's own tests inherit from. The modules import
pytest, which the rest of the library does not need.
"""
