//! F4: the executable: commands, configuration, wiring, clock, shutdown.
