"""What a message is: the Avro records, their Python types, the codec and the limits of their values."""
