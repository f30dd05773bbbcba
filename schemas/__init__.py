"""Message schemas: Avro records, their Python types, the codec and the limits of their values."""
