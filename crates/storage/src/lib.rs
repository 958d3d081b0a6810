//! F2: configuration and ledger on disk, and the snapshot a node serves from.
