//! The stages of a request one by one, each as something that can be run again and again.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;
use bytesize::ByteSize;
use http::{HeaderMap, HeaderValue, Uri, header};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use mediagate::{
    access::{
        Algorithm, Allowlist, ClientIp, ForwardedHeader, Presented, Revocations, TrustedProxies, Verifier,
        client_ip, present,
    },
    gateway::{locate, route::Route},
    object::{ObjectKey, ObjectUri, guess_media_type},
    s3::{PresignMethod, PresignRequest, Presigner},
};

use crate::setup::{self, BUCKET, KEY, PATH, Storages, clock};

/// One thing that is measured.
pub(crate) struct Stage {
    /// `group/what`.
    pub(crate) name: &'static str,
    /// Does it once.
    pub(crate) run: Box<dyn FnMut()>,
}

/// All of them, in the order of a request.
pub(crate) fn all() -> Vec<Stage> {
    let mut stages = vec![stage("baseline/sha256_1k", {
        let block = [7_u8; 1024];
        move || digest::digest(&digest::SHA256, black_box(&block))
    })];
    stages.extend(addresses());
    stages.extend(routes());
    stages.extend(tokens());
    stages.push(locating());
    stages.extend(presigning());
    stages
}

fn stage<T>(name: &'static str, mut run: impl FnMut() -> T + 'static) -> Stage {
    Stage {
        name,
        run: Box::new(move || {
            black_box(run());
        }),
    }
}

fn addresses() -> Vec<Stage> {
    let proxies = [IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8))];
    let (trusted, nobody) = (
        TrustedProxies::new(&proxies, ForwardedHeader::XForwardedFor),
        TrustedProxies::new(&[], ForwardedHeader::XForwardedFor),
    );
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.7, 198.51.100.23, 10.1.2.3"));
    let (proxy, peer) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([203, 0, 113, 7]));
    let direct = {
        let headers = headers.clone();
        stage("client_ip/direct", move || client_ip(black_box(peer), &headers, &nobody).unwrap())
    };
    let behind = stage("client_ip/two_proxies", move || client_ip(proxy, &headers, &trusted).unwrap());
    vec![direct, behind, admission("allowlist/10", 10), admission("allowlist/50000", 50_000)]
}

/// Asks for another client each time, so that a large list is not answered from the nearest cache lines.
fn admission(name: &'static str, size: usize) -> Stage {
    let networks = networks(size);
    let allowlist = Allowlist::new(&networks, &[]);
    let clients: Vec<ClientIp> = networks.iter().cycle().step_by(7).take(4096).map(client_in).collect();
    let mut clients = clients.into_iter().cycle();
    stage(name, move || allowlist.admit(clients.next().unwrap()))
}

/// Three of IPv4 to one of IPv6, the same in every run.
fn networks(size: usize) -> Vec<IpNet> {
    let mut random = fastrand::Rng::with_seed(7);
    let network = |index: usize| {
        if index.is_multiple_of(4) {
            let address = Ipv6Addr::from((0x2001_0db8 << 96) | (random.u128(..) >> 32));
            Ipv6Net::new_assert(address, random.u8(40..=64)).trunc().into()
        } else {
            Ipv4Net::new_assert(Ipv4Addr::from(random.u32(..)), random.u8(16..=28)).trunc().into()
        }
    };
    (0..size).map(network).collect()
}

fn client_in(network: &IpNet) -> ClientIp {
    let nobody = TrustedProxies::new(&[], ForwardedHeader::XForwardedFor);
    client_ip(network.broadcast(), &HeaderMap::new(), &nobody).unwrap()
}

fn routes() -> [Stage; 3] {
    let uri = format!("s3://{BUCKET}/{KEY}");
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE, uri);
    [
        ("route/native", PATH.to_owned()),
        ("route/label_studio", format!("/tasks/17/resolve/?fileuri={base64}")),
        ("route/forward", "/static/js/main.4f2a91.js?v=3".to_owned()),
    ]
    .map(|(name, path)| {
        let uri: Uri = path.parse().unwrap();
        stage(name, move || Route::parse(black_box(&uri)).unwrap())
    })
}

fn tokens() -> Vec<Stage> {
    let cold = [
        ("verify/hs256", Algorithm::HS256),
        ("verify/es256", Algorithm::ES256),
        ("verify/rs256", Algorithm::RS256),
    ];
    let (_, token) = setup::verifier(Algorithm::HS256, 0);
    let mut stages = vec![finding_the_token(&token)];
    for (name, algorithm) in cold {
        let (verifier, token) = setup::verifier(algorithm, 0);
        stages.push(stage(name, move || verify(&verifier, &token)));
    }
    let (verifier, token) = setup::verifier(Algorithm::HS256, 1000);
    stages.push(stage("verify/hs256_first_sight", move || {
        // New revocations make every token one that was never seen.
        verifier.replace_revocations(Revocations::default());
        verify(&verifier, &token);
    }));
    let (verifier, token) = setup::verifier(Algorithm::HS256, 1000);
    stages.push(stage("verify/cached", move || verify(&verifier, &token)));
    stages
}

fn finding_the_token(token: &str) -> Stage {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    stage("verify/find_bearer", move || {
        black_box(present(&headers, None).unwrap());
    })
}

fn verify(verifier: &Verifier, token: &str) {
    black_box(verifier.verify(&Presented::from_text(black_box(token)), clock()).unwrap());
}

/// Among 100 storages in ten buckets, ten prefixes each; the one that serves is the last that is tried.
fn locating() -> Stage {
    let make = Storages::new();
    let mut storages = Vec::new();
    for bucket in 0..10 {
        for prefix in 0..9 {
            let (name, bucket) = (format!("s{bucket}-{prefix}"), format!("{BUCKET}-{bucket}"));
            storages.push(make.storage(&name, &bucket, &format!("project-{prefix}/images")));
        }
        storages.push(make.storage(&format!("s{bucket}-all"), &format!("{BUCKET}-{bucket}"), ""));
    }
    let storages = locate::Storages::new(storages);
    let object = ObjectUri::parse(&format!("s3://{BUCKET}-7/{KEY}")).unwrap();
    stage("locate/100_storages", move || {
        black_box(storages.locate(black_box(&object), None).unwrap());
    })
}

fn presigning() -> Vec<Stage> {
    let connection = Storages::new().connection("media", BUCKET);
    let key = ObjectKey::parse(KEY).unwrap();
    let ttl = Duration::from_mins(15);
    let sign = {
        let (connection, key) = (connection.clone(), key.clone());
        stage("presign/sign", move || connection.presign(&presign_request(&key, ttl), clock()).unwrap())
    };
    let first_sight = {
        let (connection, key) = (connection.clone(), key.clone());
        let (presigner, mut now) = (Presigner::new(ByteSize::mib(32)), clock());
        stage("presign/first_sight", move || {
            // The next window has another URL.
            now += ttl / 2;
            presigner.presign(&connection, &presign_request(&key, ttl), now).unwrap()
        })
    };
    let second_sight = {
        let (connection, key) = (connection.clone(), key.clone());
        let (presigner, mut now) = (Presigner::new(ByteSize::mib(32)), clock());
        stage("presign/first_and_second_sight", move || {
            now += ttl / 2;
            presigner.presign(&connection, &presign_request(&key, ttl), now).unwrap();
            presigner.presign(&connection, &presign_request(&key, ttl), now).unwrap()
        })
    };
    let presigner = Presigner::new(ByteSize::mib(32));
    let cached = stage("presign/cached", move || {
        presigner.presign(&connection, &presign_request(&key, ttl), clock()).unwrap()
    });
    vec![sign, first_sight, second_sight, cached]
}

fn presign_request(key: &ObjectKey, ttl: Duration) -> PresignRequest<'_> {
    PresignRequest {
        method: PresignMethod::Get,
        key: black_box(key),
        ttl,
        not_after: never(),
        content_type: guess_media_type(key),
        content_disposition: None,
    }
}

/// Later than any window that a bench reaches.
fn never() -> SystemTime {
    clock() + Duration::from_hours(24 * 365 * 1000)
}
