//! Tree models, compiled and evaluated exactly as their training library does. Pure: bytes in, numbers out.
