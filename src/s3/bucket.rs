//! What is done with a bucket beside reading its objects: list, write and delete.
//!
//! By aws-sdk-s3 over the connections of `egress`. None of it is on the data path.

use std::time::SystemTime;

use aws_sdk_s3::{
    error::BoxError,
    operation::list_objects_v2::{ListObjectsV2, ListObjectsV2Output},
    types::{CommonPrefix, Object as SdkObject, ServerSideEncryption},
};
use aws_smithy_runtime_api::client::{
    interceptors::{Intercept, context::AfterDeserializationInterceptorContextRef, dyn_dispatch_hint},
    orchestrator::HttpResponse,
    runtime_components::RuntimeComponents,
    runtime_plugin::RuntimePlugin as _,
    ser_de::{DeserializeResponse as _, SharedResponseDeserializer},
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};
use bytes::Bytes;
use http::StatusCode;
use memchr::memmem;

use super::{Connection, Error, Inner, metrics::Operation, sdk};
use crate::object::{ETag, ObjectKey};

/// Which keys to list.
#[derive(Clone, Copy, Debug)]
pub struct ListRequest<'a> {
    /// All keys start with it; taken verbatim.
    pub prefix: &'a str,
    /// Whether keys with a further `/` behind the prefix are listed too.
    pub recursive: bool,
    /// The most keys of a page, 1 to 1000.
    pub page_size: u16,
    /// [`ListPage::next`] of the page before.
    pub continuation: Option<&'a str>,
    /// Only keys behind this one; only on the first page.
    pub start_after: Option<&'a str>,
}

/// One page of a listing, in the order of the keys' bytes.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<Listed>,
    /// Without `recursive`: what lies under the prefix up to the next `/`.
    pub prefixes: Vec<String>,
    /// Where the next page begins; absent on the last one.
    pub next: Option<String>,
}

/// An object as a listing has it. Its key may be one that cannot be served.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The key, verbatim.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub last_modified: Option<SystemTime>,
    /// Names its version.
    pub etag: Option<ETag>,
}

/// How to write an object.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// Its media type.
    pub content_type: Option<&'static str>,
    /// Encrypt with this KMS key; absent: as the bucket does by itself.
    pub sse_kms_key_id: Option<String>,
    /// Encrypt with a key of S3's own (`AES256`) where no KMS key is named.
    pub sse_s3: bool,
}

impl Connection {
    /// Lists one page.
    ///
    /// A page that is not whole is [`Error::AnswerMalformed`] and never a shorter page.
    pub async fn list(&self, request: &ListRequest<'_>) -> Result<ListPage, Error> {
        let page = self.0.list(request).await;
        self.0.metrics.ended(Operation::List, &page);
        page
    }

    /// Writes an object, with a checksum: in one request, or in parts where it is large.
    pub async fn put(&self, key: &ObjectKey, body: Bytes, options: &PutOptions) -> Result<(), Error> {
        let written = if body.len() > LARGEST_AT_ONCE {
            self.0.put_in_parts(key, body, options).await
        } else {
            self.0.put(key, body, options).await
        };
        self.0.metrics.ended(Operation::Put, &written);
        written
    }

    /// Deletes an object; an absent one is no error.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let deleted = self.0.delete(key).await;
        self.0.metrics.ended(Operation::Delete, &deleted);
        deleted
    }
}

impl Inner {
    async fn list(&self, request: &ListRequest<'_>) -> Result<ListPage, Error> {
        self.credentials.signer((self.clock)())?;
        let listing = self
            .sdk()
            .list_objects_v2()
            .bucket(self.bucket.as_str())
            .prefix(request.prefix)
            .max_keys(request.page_size.clamp(1, 1000).into())
            .set_delimiter((!request.recursive).then(|| "/".to_owned()))
            .set_continuation_token(request.continuation.map(str::to_owned))
            .set_start_after(
                request.start_after.filter(|_| request.continuation.is_none()).map(str::to_owned),
            )
            .customize()
            .interceptor(WholeListing)
            .send()
            .await
            .map_err(sdk::error)?;
        page(listing, request).ok_or(Error::AnswerMalformed)
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: &PutOptions) -> Result<(), Error> {
        self.credentials.signer((self.clock)())?;
        self.sdk()
            .put_object()
            .bucket(self.bucket.as_str())
            .key(key.as_str())
            .body(body.into())
            .set_content_type(options.content_type.map(str::to_owned))
            .set_server_side_encryption(options.encryption())
            .set_ssekms_key_id(options.sse_kms_key_id.clone())
            .send()
            .await
            .map(drop)
            .map_err(sdk::error)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.credentials.signer((self.clock)())?;
        let deleted = self.sdk().delete_object().bucket(self.bucket.as_str()).key(key.as_str()).send().await;
        match deleted.map_err(sdk::error) {
            // Not what S3 answers, but others do.
            Ok(_) | Err(Error::NoSuchKey) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl PutOptions {
    /// How S3 is asked to encrypt.
    pub(super) fn encryption(&self) -> Option<ServerSideEncryption> {
        match &self.sse_kms_key_id {
            Some(_) => Some(ServerSideEncryption::AwsKms),
            None => self.sse_s3.then_some(ServerSideEncryption::Aes256),
        }
    }
}

/// What goes in one request; past it a broken connection costs too much.
const LARGEST_AT_ONCE: usize = 16 * 1024 * 1024;

impl ListPage {
    /// Reads the text of an answer as [`Connection::list`] does, without asking anyone.
    pub fn read(text: &[u8], request: &ListRequest<'_>) -> Result<Self, Error> {
        let answer = HttpResponse::new(StatusCode::OK.into(), SdkBody::from(text.to_vec()));
        let operation = ListObjectsV2::new().config().ok_or(Error::AnswerMalformed)?;
        let reader = operation.load::<SharedResponseDeserializer>().ok_or(Error::AnswerMalformed)?;
        let output = reader
            .deserialize_nonstreaming_with_config(&answer, &ConfigBag::base())
            .map_err(|_| Error::AnswerMalformed)?;
        let listing: ListObjectsV2Output = output.downcast().map_err(|_| Error::AnswerMalformed)?;
        if !is_whole(text, listing.contents(), listing.common_prefixes()) {
            return Err(Error::AnswerMalformed);
        }
        page(listing, request).ok_or(Error::AnswerMalformed)
    }
}

/// `None` where the page contradicts the request or itself.
fn page(listing: ListObjectsV2Output, request: &ListRequest<'_>) -> Option<ListPage> {
    let next = match (listing.is_truncated, listing.next_continuation_token) {
        // The same page again would go on for ever.
        (Some(true), next) => Some(next.filter(|next| Some(next.as_str()) != request.continuation)?),
        _ => None,
    };
    let objects: Option<Vec<_>> = listing.contents.unwrap_or_default().into_iter().map(listed).collect();
    let prefixes: Option<Vec<_>> =
        listing.common_prefixes.unwrap_or_default().into_iter().map(|common| common.prefix).collect();
    let (objects, prefixes) = (objects?, prefixes?);
    let keys = objects.iter().map(|object| &object.key).chain(&prefixes);
    keys.clone().all(|key| key.starts_with(request.prefix)).then_some(ListPage { objects, prefixes, next })
}

fn listed(object: SdkObject) -> Option<Listed> {
    Some(Listed {
        key: object.key?,
        size: object.size?.try_into().ok()?,
        last_modified: object.last_modified.and_then(|at| at.try_into().ok()),
        etag: object.e_tag.as_deref().and_then(ETag::parse),
    })
}

/// Sees that the SDK read all of a listing. Its XML reader takes the end of a text, or a fault in it, for the
/// end of the list: what follows would be missing, and a sync would take those objects for deleted.
#[derive(Debug)]
struct WholeListing;

#[dyn_dispatch_hint]
impl Intercept for WholeListing {
    fn name(&self) -> &'static str {
        "WholeListing"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(output) = context.output_or_error() else { return Ok(()) };
        let text = context.response().body().bytes().unwrap_or_default();
        let listing = output.downcast_ref::<ListObjectsV2Output>();
        if listing.is_some_and(|listing| is_whole(text, listing.contents(), listing.common_prefixes())) {
            Ok(())
        } else {
            Err(Error::AnswerMalformed.into())
        }
    }
}

/// Whether the text is closed, and every element of it was read. In a text of XML a `<` is never part of a key.
fn is_whole(text: &[u8], objects: &[SdkObject], prefixes: &[CommonPrefix]) -> bool {
    let count = |name: &str| memmem::find_iter(text, name).count();
    text.trim_ascii_end().ends_with(b"</ListBucketResult>")
        && count("</Contents>") == objects.len()
        && count("</CommonPrefixes>") == prefixes.len()
}
