//! What connects to S3: the test before saving, `validate` and `files`.
