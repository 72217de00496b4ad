//! What the token, the certificate and the revision keep out.

mod support;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use async_nats::{Client, ConnectOptions};
use futures_lite::StreamExt;
use procfs::process::Process;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use suite::Result;
use support::{
    PROGRAM, Running, Server, TOKEN, children, has_server, node, parent, primes, program,
    wait_until, wait_until_busy,
};
use tempfile::TempDir;

/// Runs a test with a timeout, if there is a server program.
fn with_server(test: fn(&'static str) -> Result<()>) -> Result<()> {
    match has_server() {
        true => harness::with_timeout(test, PROGRAM),
        false => Ok(()),
    }
}

#[test]
fn without_the_token_there_is_nothing() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        for token in ["", "another"] {
            for mut command in [
                program(&["node".to_owned(), "--server".to_owned(), server.url()]),
                program(&[primes(100), vec!["--cluster".to_owned(), server.url()]].concat()),
            ] {
                let ended = Running(command.env("PACES_NATS_TOKEN", token).spawn()?).end()?;
                ensure!(ended.status.code() == Some(1), "{ended:?}");
                ensure!(ended.stderr.contains("authorization"), "{ended:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn the_token_is_on_no_command_line_and_in_no_output() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let node = node(&server, "one", &[])?;
        let parent = parent(&server, 1, &primes(6_000), &["--json"])?;
        wait_until_busy(node.pid())?;
        for pid in [node.pid(), parent.pid()] {
            let args = Process::new(pid)?.cmdline()?.join(" ");
            ensure!(!args.contains(TOKEN), "{args}");
        }
        let ended = parent.end()?;
        ensure!(ended.status.success(), "{ended:?}");
        ensure!(!format!("{ended:?}").contains(TOKEN), "{ended:?}");
        Ok(())
    })
}

#[test]
fn the_token_of_an_own_server_is_for_its_owner_alone() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    with_server(|_| {
        let parent = Running(program(&primes(30_000)).spawn()?);
        let node = wait_until("a node", || Ok(children(parent.pid(), "--own")?.pop()))?;
        let args = Process::new(node)?.cmdline()?;
        let mut after = args.iter().skip_while(|arg| *arg != "--token-file");
        let file = after.nth(1).context("a file with the token")?;
        ensure!(
            fs::metadata(file)?.permissions().mode() & 0o777 == 0o600,
            "{file}"
        );
        let token = fs::read_to_string(file)?;
        let servers = children(parent.pid(), "nats-server")?;
        ensure!(servers.len() == 1, "{servers:?}");
        for pid in [servers[0], node, parent.pid()] {
            let args = Process::new(pid)?.cmdline()?.join(" ");
            ensure!(!args.contains(&token), "{args}");
        }
        let ended = parent.end()?;
        ended.was_right()?;
        ensure!(!format!("{ended:?}").contains(&token), "{ended:?}");
        Ok(())
    })
}

/// Creates the certificate of an authority, and a server certificate and key for this machine,
/// signed by it.
fn certificates(directory: &TempDir, name: &str) -> Result<(PathBuf, [PathBuf; 2])> {
    let mut authority = CertificateParams::new([])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
    let write = |what: &str, text: String| {
        let path = directory.path().join(format!("{name}-{what}.pem"));
        fs::write(&path, text)?;
        anyhow::Ok(path)
    };
    Ok((
        write("authority", authority.pem())?,
        [
            write("server", server.pem())?,
            write("key", key.serialize_pem())?,
        ],
    ))
}

#[test]
fn a_server_with_another_certificate_is_refused() -> Result<()> {
    with_server(|_| {
        let directory = tempfile::tempdir()?;
        let (right, tls) = certificates(&directory, "right")?;
        let (wrong, _) = certificates(&directory, "wrong")?;
        let server = Server::with(Some(tls))?;
        let (right, wrong) = (right.display().to_string(), wrong.display().to_string());
        let refused = node(&server, "refuses", &["--cluster-ca", &wrong])?.end()?;
        ensure!(refused.status.code() == Some(1), "{refused:?}");
        ensure!(refused.stderr.contains("certificate"), "{refused:?}");
        let refused = parent(&server, 1, &primes(100), &["--cluster-ca", &wrong])?.end()?;
        ensure!(refused.status.code() == Some(1), "{refused:?}");
        let _node = node(&server, "one", &["--cluster-ca", &right])?;
        parent(&server, 1, &primes(100), &["--cluster-ca", &right])?
            .end()?
            .was_right()
    })
}

#[test]
fn builds_that_differ_refuse_each_other() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let parent = parent(&server, 1, &primes(100), &[])?;
        let answer = ask_as_another_build(&server)?;
        let ours = answer["Refused"]["revision"]
            .as_str()
            .context("a revision")?;
        // A refused node does not keep out one of the right build.
        let _node = node(&server, "right", &[])?;
        let ended = parent.end()?;
        ended.was_right()?;
        let both = [ours, "0.0.0-another", "refused"];
        ensure!(
            both.iter().all(|says| ended.stderr.contains(says)),
            "{ended:?}"
        );
        Ok(())
    })
}

#[test]
fn a_node_refuses_a_parent_of_another_build() -> Result<()> {
    with_server(|_| {
        let server = Server::start()?;
        let mut node = refuse_as_another_build(&server)?;
        node.kill()?;
        let ended = node.end()?;
        let both = ["0.0.0-another", "refused", "and this node of 0.1.0-"];
        ensure!(
            both.iter().all(|says| ended.stderr.contains(says)),
            "{ended:?}"
        );
        Ok(())
    })
}

async fn connect(server: &Server) -> Result<Client> {
    let options = ConnectOptions::with_token(TOKEN.to_owned());
    Ok(options.connect(server.url()).await?)
}

/// Asks for a session as a node of another build, until a parent answers.
#[tokio::main(flavor = "current_thread")]
async fn ask_as_another_build(server: &Server) -> Result<serde_json::Value> {
    let client = connect(server).await?;
    let mut wanted = client.subscribe("paces.wanted").await?;
    let hello = r#"{"node": "other", "revision": "0.0.0-another"}"#;
    loop {
        if let Ok(answer) = client.request("paces.hello", hello.into()).await {
            return Ok(serde_json::from_slice(&answer.payload)?);
        }
        wanted.next().await.context("no parent comes")?;
    }
}

/// Starts a node and refuses it. When it asks again, it has read the first refusal.
#[tokio::main(flavor = "current_thread")]
async fn refuse_as_another_build(server: &Server) -> Result<Running> {
    let client = connect(server).await?;
    let mut hellos = client.subscribe("paces.hello").await?;
    client.flush().await?;
    let node = node(server, "refuses", &[])?;
    for _ in 0..2 {
        let hello = hellos.next().await.context("no node asks")?;
        let refused = r#"{"Refused": {"revision": "0.0.0-another"}}"#;
        let reply = hello.reply.context("a question")?;
        client.publish(reply, refused.into()).await?;
        client.publish("paces.wanted", "".into()).await?;
    }
    Ok(node)
}
