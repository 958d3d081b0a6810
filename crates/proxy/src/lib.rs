//! F3: the data plane: authenticate, route, admit, forward, meter.
