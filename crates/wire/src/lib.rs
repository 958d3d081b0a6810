//! F1: what is read from and written to OpenAI's dialect.
