//! Writing a large object in parts (multipart upload).
//!
//! The object is there when the last request was answered, and not before. What was begun and failed is taken back, so
//! that its parts are not paid for.

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::{Error, Inner, PutOptions, sdk};
use crate::object::ObjectKey;

impl Inner {
    /// Writes an object part by part.
    pub(super) async fn put_in_parts(
        &self,
        key: &ObjectKey,
        body: Bytes,
        options: &PutOptions,
    ) -> Result<(), Error> {
        self.credentials.signer((self.clock)())?;
        let begun = self
            .sdk()
            .create_multipart_upload()
            .bucket(self.bucket.as_str())
            .key(key.as_str())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .set_content_type(options.content_type.map(str::to_owned))
            .set_server_side_encryption(options.encryption())
            .set_ssekms_key_id(options.sse_kms_key_id.clone())
            .send()
            .await
            .map_err(sdk::error)?;
        let upload = begun.upload_id.ok_or(Error::AnswerMalformed)?;
        let written = self.put_parts(key, body, &upload).await;
        if written.is_err() {
            self.take_back(key, &upload).await;
        }
        written
    }

    async fn put_parts(&self, key: &ObjectKey, mut body: Bytes, upload: &str) -> Result<(), Error> {
        let mut parts = Vec::new();
        for number in 1.. {
            let part = body.split_to(body.len().min(PART));
            let sent = self
                .sdk()
                .upload_part()
                .bucket(self.bucket.as_str())
                .key(key.as_str())
                .upload_id(upload)
                .part_number(number)
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .body(part.into())
                .send()
                .await
                .map_err(sdk::error)?;
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .set_checksum_crc32(sent.checksum_crc32)
                .build();
            parts.push(part);
            if body.is_empty() {
                break;
            }
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        self.sdk()
            .complete_multipart_upload()
            .bucket(self.bucket.as_str())
            .key(key.as_str())
            .upload_id(upload)
            .multipart_upload(parts)
            .send()
            .await
            .map(drop)
            .map_err(sdk::error)
    }

    /// What cannot be taken back now, the bucket's rule for incomplete uploads removes.
    async fn take_back(&self, key: &ObjectKey, upload: &str) {
        let aborted = self
            .sdk()
            .abort_multipart_upload()
            .bucket(self.bucket.as_str())
            .key(key.as_str())
            .upload_id(upload)
            .send()
            .await;
        if let Err(error) = aborted.map_err(sdk::error) {
            tracing::warn!(storage = %self.name, %error, "an upload that failed could not be taken back");
        }
    }
}

/// At least 5 MiB, which is S3's limit for all parts but the last; at most 10,000 of them make 80 GiB.
const PART: usize = 8 * 1024 * 1024;
