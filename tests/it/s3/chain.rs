//! The default chain of AWS, in the real binary: `check` on a storage without keys, with the variables that a machine, a
//! container or a person would have set. The S3 server checks the signature, so that the keys arrived as they were.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::support::{
    metadata::{AUTHORIZATION, Metadata, SESSION_TOKEN},
    s3::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY},
    sts::Sts,
};

/// A machine with an S3 server near it and no credentials.
struct Machine {
    s3: S3Server,
    home: TempDir,
}

impl Machine {
    async fn new() -> Self {
        let (s3, home) = (S3Server::start().await, tempfile::tempdir().unwrap());
        s3.bucket("media");
        let config = format!(
            "[[storages]]\nname = \"media\"\nbucket = \"media\"\nregion = \"us-east-1\"\nendpoint = \"{}\"\n",
            s3.url()
        );
        fs::write(home.path().join("mediagate.toml"), config).unwrap();
        Self { s3, home }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Runs `check` with these variables and nothing else of ours; gives back what it said and whether it liked it.
    async fn check(&self, variables: &[(&str, &str)]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mediagate"));
        command.arg("check").arg("--config").arg(self.path("mediagate.toml"));
        command.env_clear().env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        command.envs(variables.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// The session token that S3 saw in a header; a presigned URL has it in its query.
    fn session_token(&self) -> Option<String> {
        let seen = self.s3.seen();
        let token = seen.iter().find_map(|seen| seen.headers.get("x-amz-security-token"));
        token.map(|token| token.to_str().unwrap().to_owned())
    }
}

const NO_IMDS: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

fn assert_ok((is_ok, said): (bool, String)) {
    assert!(is_ok && said.contains("storage media: list: ok"), "{said}");
    assert!(!said.contains(SECRET_ACCESS_KEY) && !said.contains("token="), "{said}");
}

#[tokio::test]
async fn keys_of_the_environment() {
    let machine = Machine::new().await;
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)];
    assert_ok(machine.check(&[keys[0], keys[1], NO_IMDS]).await);
    assert_eq!(machine.session_token(), None);
    assert_ok(machine.check(&[keys[0], keys[1], NO_IMDS, ("AWS_SESSION_TOKEN", "env/token=")]).await);
    assert_eq!(machine.session_token().as_deref(), Some("env/token="));
    let (is_ok, said) = machine.check(&[keys[0], ("AWS_SECRET_ACCESS_KEY", "wrong"), NO_IMDS]).await;
    assert!(!is_ok && said.contains("rejected the credentials"), "{said}");
}

#[tokio::test]
async fn profiles_of_the_shared_files() {
    let machine = Machine::new().await;
    let keys = format!("aws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n");
    let file = machine.write("shared/credentials", &format!("[default]\n{keys}[other]\n{keys}"));
    let named = ("AWS_SHARED_CREDENTIALS_FILE", file.as_str());
    assert_ok(machine.check(&[named, NO_IMDS]).await);
    assert_ok(machine.check(&[named, NO_IMDS, ("AWS_PROFILE", "other")]).await);
    machine.write(".aws/credentials", &format!("[default]\n{keys}"));
    assert_ok(machine.check(&[NO_IMDS]).await);
    let absent = machine.check(&[named, NO_IMDS, ("AWS_PROFILE", "absent")]).await;
    assert!(!absent.0, "{}", absent.1);
}

#[tokio::test]
async fn a_profile_whose_program_prints_keys() {
    let machine = Machine::new().await;
    let printed = format!(
        "{{\"Version\": 1, \"AccessKeyId\": \"{ACCESS_KEY_ID}\", \"SecretAccessKey\": \"{SECRET_ACCESS_KEY}\", \
         \"SessionToken\": \"process/token=\"}}"
    );
    let output = machine.write("printed.json", &printed);
    machine.write(".aws/config", &format!("[default]\ncredential_process = cat {output}\n"));
    assert_ok(machine.check(&[NO_IMDS]).await);
    assert_eq!(machine.session_token().as_deref(), Some("process/token="));
}

#[tokio::test]
async fn a_profile_with_a_role() {
    let machine = Machine::new().await;
    let mut sts =
        Sts::start([crate::support::sts::Answer::Grant(ACCESS_KEY_ID, std::time::Duration::from_hours(1))])
            .await;
    machine.write(
        ".aws/config",
        "[profile reader]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = base\n\
         external_id = ticket-17\n",
    );
    machine.write(
        ".aws/credentials",
        "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = base-secret\n",
    );
    let sts_url = sts.url();
    let variables = [("AWS_PROFILE", "reader"), ("AWS_ENDPOINT_URL_STS", sts_url.as_str()), NO_IMDS];
    assert_ok(machine.check(&variables).await);
    assert_eq!(machine.session_token().as_deref(), Some("role/token="));
    let form = sts.next().await;
    assert_eq!((form["Action"].as_str(), form["ExternalId"].as_str()), ("AssumeRole", "ticket-17"));
}

#[tokio::test]
async fn a_web_identity() {
    let machine = Machine::new().await;
    let mut sts = Sts::start([]).await;
    let token = machine.write("web-identity", "the.web.identity");
    let sts_url = sts.url();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader"),
        ("AWS_ROLE_SESSION_NAME", "pod"),
        ("AWS_ENDPOINT_URL_STS", sts_url.as_str()),
        NO_IMDS,
    ];
    assert_ok(machine.check(&variables).await);
    assert_eq!(machine.session_token().as_deref(), Some("role/token="));
    let form = sts.next().await;
    assert_eq!(form["Action"], "AssumeRoleWithWebIdentity");
    assert_eq!(
        (form["WebIdentityToken"].as_str(), form["RoleSessionName"].as_str()),
        ("the.web.identity", "pod")
    );
}

#[tokio::test]
async fn a_container_of_ecs() {
    let machine = Machine::new().await;
    let metadata = Metadata::start().await;
    let url = format!("{}/container", metadata.url());
    let place = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str());
    assert_ok(machine.check(&[place, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", AUTHORIZATION), NO_IMDS]).await);
    assert_eq!(machine.session_token().as_deref(), Some(SESSION_TOKEN));
    assert_eq!(metadata.seen(), ["GET /container"]);
    let (is_ok, said) =
        machine.check(&[place, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong"), NO_IMDS]).await;
    assert!(!is_ok && said.contains("no valid credentials"), "{said}");
}

#[tokio::test]
async fn a_machine_of_ec2() {
    let machine = Machine::new().await;
    let metadata = Metadata::start().await;
    let url = metadata.url();
    assert_ok(machine.check(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]).await);
    assert_eq!(machine.session_token().as_deref(), Some(SESSION_TOKEN));
    let role = "GET /latest/meta-data/iam/security-credentials/machine-role";
    let seen = metadata.seen();
    assert!(
        seen.contains(&"PUT /latest/api/token".to_owned()) && seen.contains(&role.to_owned()),
        "{seen:?}"
    );
}

/// The proxy of `[egress]` serves S3 and not the services of the machine, and a proxy of the environment nobody.
#[tokio::test]
async fn the_machine_itself_is_not_asked_through_a_proxy() {
    let machine = Machine::new().await;
    let metadata = Metadata::start().await;
    let config = fs::read_to_string(machine.path("mediagate.toml")).unwrap();
    fs::write(
        Path::new(&machine.path("mediagate.toml")),
        format!("{config}\n[egress]\nproxy = \"http://127.0.0.1:1\"\n"),
    )
    .unwrap();
    let url = metadata.url();
    let variables =
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()), ("HTTP_PROXY", "http://127.0.0.1:1")];
    assert_ok(machine.check(&variables).await);
}

#[tokio::test]
async fn nothing_at_all_says_what_to_set() {
    let machine = Machine::new().await;
    let (is_ok, said) = machine.check(&[NO_IMDS]).await;
    assert!(!is_ok, "{said}");
    for part in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "web identity", "instance role"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
