//! The client of aws-sdk-s3 for one bucket: our endpoint, our credentials, our connections.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Config, IdentityCache, Region, StalledStreamProtectionConfig,
        endpoint::{Endpoint as SdkEndpoint, EndpointFuture, Params, ResolveEndpoint},
        retry::RetryConfig,
    },
};

use super::{
    Inner,
    credentials::Credentials,
    sdk::{self, SdkHttp},
};

impl Inner {
    pub(super) fn sdk(&self) -> &Client {
        self.sdk.get_or_init(|| self.sdk_client())
    }

    fn sdk_client(&self) -> Client {
        let endpoint = SdkEndpoint::builder().url(self.endpoint.base_url()).build();
        let credentials = Current { credentials: Arc::clone(&self.credentials), clock: self.clock };
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.credentials.region().to_owned()))
            .endpoint_resolver(Decided(endpoint))
            .credentials_provider(credentials)
            // Ours are kept and renewed already; a second cache would hold on to old ones.
            .identity_cache(IdentityCache::no_cache())
            .http_client(SdkHttp::new(&self.egress, self.timeouts, Arc::clone(&self.metrics)))
            // The HTTP client bounds silence in both directions by itself.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(retries())
            .sleep_impl(sdk::sleep())
            .time_source(sdk::time(self.clock))
            .build();
        Client::from_conf(config)
    }
}

/// A person waits for most of what is asked here.
pub(super) fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(200))
        .with_max_backoff(Duration::from_secs(2))
}

/// The endpoint that [`super::Endpoint`] decided upon, whatever the SDK's own rules would say.
#[derive(Debug)]
struct Decided(SdkEndpoint);

impl ResolveEndpoint for Decided {
    fn resolve_endpoint<'a>(&'a self, _: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(self.0.clone()))
    }
}

/// The credentials that sign at this moment.
#[derive(Debug)]
struct Current {
    credentials: Arc<Credentials>,
    clock: fn() -> SystemTime,
}

impl ProvideCredentials for Current {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let signer = self.credentials.signer((self.clock)());
        future::ProvideCredentials::ready(match signer {
            Ok((signer, _)) => Ok(signer.credentials().clone()),
            Err(error) => Err(CredentialsError::not_loaded(error)),
        })
    }
}
