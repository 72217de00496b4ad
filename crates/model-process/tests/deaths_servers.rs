//! Children of servers, and of their clients, that are killed: the others go on, or the job
//! says which connection it was.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use chat_room::{Format, HEADER_BYTES, Policy, Settings};
use file_send::Secret;
use model_process::Process;
use runner::fixture::{Fixture, Prepared};
use rustix::process::Signal;
use suite::generator::PATIENCE;
use suite::send::Sending;
use suite::serve::Service;
use suite::{Job, Model, Outcome, Result, Workload, chat};

use support::{
    TICKS, alone, children_of, failure, gone, job, right, run_during, server_of, signal, start,
    survives, ticks, until, workers, workers_of,
};

#[test]
fn echo() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Echo, "connections=4 messages=10000")?;
        let prepared = Fixture::new(program, None).prepare(&job)?;
        let model = start(&job, program)?;
        survives(&model, prepared.job(), &TICKS, &[1, 4, 8], &right(&job))?;
        drop(model);
        prepared.close()
    })
}

/// Accepts a right answer of a job whose server is asked for its health afterwards.
fn right_clients(job: &Job) -> impl Fn(&mut Outcome) -> Result<()> {
    |outcome| {
        if let Outcome::Datagram(outcome) = outcome {
            outcome.seen.healthy = true;
        }
        Ok(job.check(outcome)?)
    }
}

#[test]
fn datagram() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Datagram, "clients=4 datagrams=20000 window=8")?;
        let mut prepared = Fixture::new(program, None).prepare(&job)?;
        let model = start(&job, program)?;
        let right = right_clients(&job);
        survives(&model, prepared.job(), &TICKS, &[1, 4, 8], &right)?;
        let (_, mut outcome) = prepared.run(&model)?;
        prepared.verify(&mut outcome)?;
        drop(model);
        prepared.close()
    })
}

/// A child of the server that is killed takes one datagram with it, which is sent again; another
/// receives in its place.
#[test]
fn a_datagram_goes_on_where_a_child_of_the_server_was_killed() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Datagram, "clients=3 datagrams=40000 window=8")?;
        let mut prepared = Fixture::new(program, None).prepare(&job)?;
        let model = start(&job, program)?;
        let server = server_of(std::process::id(), "datagram-server")?;
        let right = right_clients(&job);
        let killed = |victim| {
            let began = ticks()?;
            run_during(&model, prepared.job(), |is_over| {
                until(|| {
                    ensure!(!is_over(), "the job was over too soon");
                    Ok(ticks()? - began >= 4)
                })?;
                signal(victim, Signal::KILL)
            })
        };
        let victims = workers_of(server as u32)?;
        for &victim in &victims {
            right(&mut killed(victim)??)?;
        }
        let left = workers_of(server as u32)?;
        ensure!(!victims.iter().any(|victim| left.contains(victim)));
        let text = failure(killed(server)?)?;
        ensure!(text.contains(" of 3 to 127.0.0.1:"), "{text}");
        ensure!(text.contains("refused"), "{text}");
        until(|| Ok(left.iter().all(gone)))?;
        let text = failure(prepared.run(&model).map(|(_, outcome)| outcome))?;
        ensure!(text.contains("refused"), "{text}");
        Ok(())
    })
}

/// Each child that is killed takes one connection with it, at most; another serves in its
/// place.
#[test]
fn serve() -> Result<()> {
    alone(|program| {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("file"), "what is served")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let service = Service::new(listener, directory.path(), 4, PATIENCE, None)?;
        let service = Arc::new(service);
        let model = start(&job(Workload::Serve, "connections=4")?, program)?;
        let victims = thread::scope(|scope| {
            let serving = scope.spawn(|| model.serve_files(&service));
            let killed = kill_all_that_serve(service.listening.address()).and_then(|victims| {
                // The last one is replaced, too, if the end does not begin before.
                until(|| Ok(workers()?.len() >= 4))?;
                Ok(victims)
            });
            service.listening.close();
            let served = serving.join().map_err(|_| anyhow!("it panicked"))?;
            let victims = killed?;
            served.map(|()| victims)
        })?;
        let left = workers()?;
        ensure!(left.len() >= 4, "there are {left:?}");
        ensure!(!victims.iter().any(|victim| left.contains(victim)));
        drop(model);
        ensure!(workers()?.is_empty(), "some are left");
        Ok(())
    })
}

/// Kills the children of a server one after the other, while three clients have
/// connections.
fn kill_all_that_serve(address: SocketAddr) -> Result<Vec<i32>> {
    let connect = || {
        let mut stream = TcpStream::connect(address)?;
        is_answered(&mut stream)?;
        anyhow::Ok(stream)
    };
    let mut clients = vec![connect()?, connect()?, connect()?];
    // Some are for CPU work, and have no connection.
    let victims = workers()?;
    for &victim in &victims {
        signal(victim, Signal::KILL)?;
        until(|| Ok(!workers()?.contains(&victim)))?;
        let before = clients.len();
        clients.retain_mut(|stream| is_answered(stream).is_ok());
        let lost = before - clients.len();
        ensure!(lost <= 1, "{lost} lost their connections to one child");
        connect().with_context(|| format!("after {victim} was killed"))?;
    }
    ensure!(clients.is_empty(), "their children were not killed");
    Ok(victims)
}

fn is_answered(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"what is served") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "));
    Ok(())
}

/// A file whose child is killed, at either end, goes on over another connection.
#[test]
fn send() -> Result<()> {
    alone(|program| {
        let sets = "files=12 bytes=16000000 streams=3 cut=0 cuts=0";
        let mut prepared = Fixture::new(program, None).prepare(&job(Workload::Send, sets)?)?;
        let model = start(prepared.job(), program)?;
        let me = std::process::id();
        let receivers = children_of(me, "receiver")?;
        let receiver = *receivers.first().context("no receiver")? as u32;
        for (parent, moment) in [(me, 1), (me, 4), (me, 8), (receiver, 1), (receiver, 8)] {
            let victims = workers_of(parent)?;
            let outcome = send_during(&model, &mut prepared, &victims, moment)?;
            let Outcome::Send(mut sent) = outcome? else {
                bail!("not an outcome of `send`")
            };
            ensure!(
                sent.retries > 0,
                "all were killed, and none was tried again"
            );
            // What a child has written last, no other process counts. And the receiver may have
            // a file whose sender is killed before it hears of that.
            (sent.retries, sent.sent, sent.before) = (0, 12 * 16_000_000, 0);
            prepared.verify(&mut Outcome::Send(sent))?;
            let left = workers_of(parent)?;
            ensure!(!victims.iter().any(|victim| left.contains(victim)));
        }
        let (_, mut outcome) = prepared.run(&model)?;
        prepared.verify(&mut outcome)?;
        drop(model);
        ensure!(workers()?.is_empty(), "some are left");
        prepared.close()
    })
}

/// What comes of sending files when all of these are killed in the middle of it.
fn send_during(
    model: &Process,
    prepared: &mut Prepared,
    victims: &[i32],
    moment: u64,
) -> Result<Result<Outcome>> {
    let began = ticks()?;
    thread::scope(|scope| {
        let running = scope.spawn(|| prepared.run(model));
        until(|| {
            ensure!(!running.is_finished(), "it was over before {moment}");
            Ok(ticks()? - began >= moment)
        })?;
        for &victim in victims {
            signal(victim, Signal::KILL)?;
        }
        let ended = running.join().map_err(|_| anyhow!("it panicked"))?;
        Ok(ended.map(|(_, outcome)| outcome))
    })
}

/// When all is stopped, no child goes on with a file.
#[test]
fn a_stop_ends_those_that_send() -> Result<()> {
    alone(|program| {
        // It takes connections, and says nothing.
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("file");
        fs::write(&file, "text")?;
        let files = (0..3).map(|number| (file.clone(), number.to_string()));
        let secret = Secret::new(*b"what both ends have in a test").context("a secret")?;
        let how = (3, file_send::Path::Copy);
        let patience = Duration::from_secs(600);
        let to = silent.local_addr()?;
        let sending = Arc::new(Sending::new(to, secret, files, how, patience, Arc::new(())));
        let model = start(&job(Workload::Send, "streams=3 cut=1 cuts=1")?, program)?;
        let before = workers()?;
        thread::scope(|scope| {
            let running = scope.spawn(|| model.send_files(&sending));
            let connected: Vec<_> = silent.incoming().take(3).collect();
            sending.stop();
            let ended = running.join().map_err(|_| anyhow!("it panicked"))?;
            drop(connected);
            ended
        })?;
        let left = workers()?;
        ensure!(
            !before.iter().any(|worker| left.contains(worker)),
            "{left:?}"
        );
        Ok(())
    })
}

/// A child that is killed in the middle takes its rooms with it, and nothing else: those in the
/// other rooms go on, and who joins again is served, also if there are no more places than that.
#[test]
fn chat() -> Result<()> {
    alone(|program| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let settings = Settings {
            format: Format::Frames,
            policy: Policy::Wait,
            queue: 4,
        };
        let service = chat::Service::new(listener, settings, 4, PATIENCE)?;
        let service = Arc::new(service);
        let model = start(&job(Workload::Chat, "")?, program)?;
        let victims = thread::scope(|scope| {
            let serving = scope.spawn(|| model.serve_chat(&service));
            let killed = kill_all_that_have_rooms(service.listening.address());
            service.listening.close();
            let served = serving.join().map_err(|_| anyhow!("it panicked"))?;
            let victims = killed?;
            served.map(|()| victims)
        })?;
        let left = workers()?;
        ensure!(left.len() == 2, "there are {left:?}");
        ensure!(!victims.iter().any(|victim| left.contains(victim)));
        drop(model);
        ensure!(workers()?.is_empty(), "some are left");
        Ok(())
    })
}

/// Kills the children of a chat one after the other, while messages are on their way between
/// both members of two rooms.
fn kill_all_that_have_rooms(address: SocketAddr) -> Result<Vec<i32>> {
    let mut rooms = vec![join_both(address, 0)?, join_both(address, 1)?];
    let victims = workers()?;
    for &victim in &victims {
        rooms.iter_mut().try_for_each(say)?;
        signal(victim, Signal::KILL)?;
        until(|| Ok(!workers()?.contains(&victim)))?;
        // What was written to the one may still be there.
        let talks: Vec<_> = rooms
            .iter_mut()
            .map(|room| {
                hear(room)?;
                say(room)?;
                hear(room)
            })
            .collect();
        let Some(lost) = talks.iter().position(Result::is_err) else {
            bail!("neither room was with {victim}");
        };
        let others = talks.iter().filter(|talk| talk.is_ok()).count();
        ensure!(others == 1, "both rooms were with {victim}: {talks:?}");
        // Their places are free again.
        rooms[lost] = join_both(address, lost as u32)?;
        for room in &mut rooms {
            say(room)?;
            hear(room).with_context(|| format!("after {victim} was killed"))?;
        }
    }
    Ok(victims)
}

/// Two members of a room, with their numbers.
type Both = [(TcpStream, u32); 2];

fn join_both(address: SocketAddr, room: u32) -> Result<Both> {
    let join = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&chat_header(0, room, 0))?;
        let mut joined = [0; HEADER_BYTES];
        stream.read_exact(&mut joined).context("joining")?;
        let [_, _, _, _, number @ .., _, _, _, _, _, _, _, _] = joined;
        anyhow::Ok((stream, u32::from_be_bytes(number)))
    };
    Ok([join()?, join()?])
}

fn chat_header(length: u32, sender: u32, sequence: u64) -> Vec<u8> {
    let [length, sender] = [length, sender].map(u32::to_be_bytes);
    [&length[..], &sender, &sequence.to_be_bytes()].concat()
}

/// What a member says: more than its room holds.
fn said((_, number): &(TcpStream, u32)) -> Vec<u8> {
    (0..1_000)
        .flat_map(|at| chat_header(0, *number, at))
        .collect()
}

fn say(both: &mut Both) -> Result<()> {
    for member in both {
        let said = said(member);
        member.0.write_all(&said)?;
    }
    Ok(())
}

/// Each hears what the other has said.
fn hear(both: &mut Both) -> Result<()> {
    let [one, other] = both;
    for (hears, says) in [(&*one, &*other), (&*other, &*one)] {
        let said = said(says);
        let mut heard = vec![0; said.len()];
        (&hears.0).read_exact(&mut heard)?;
        ensure!(heard == said, "what was said is not what was heard");
    }
    Ok(())
}

#[test]
fn an_echo_names_the_connection_whose_server_was_killed() -> Result<()> {
    alone(|program| {
        let job = job(Workload::Echo, "connections=3 messages=40000")?;
        let prepared = Fixture::new(program, None).prepare(&job)?;
        let model = start(&job, program)?;
        let server = server_of(std::process::id(), "echo-server")?;
        let killed = |victim| {
            let began = ticks()?;
            let outcome = run_during(&model, prepared.job(), |is_over| {
                until(|| {
                    ensure!(!is_over(), "the job was over too soon");
                    Ok(ticks()? - began >= 4)
                })?;
                signal(victim, Signal::KILL)
            })?;
            failure(outcome)
        };
        for round in 0..3 {
            let text = killed(workers_of(server as u32)?[round])?;
            ensure!(text.contains(" of 3 to 127.0.0.1:"), "{text}");
            // The others go on, and there is another in the place of the dead one.
            job.check(&prepared.job().run(&model)?)?;
            let children = workers_of(server as u32)?.len();
            ensure!(children == 3, "the server has {children} children");
        }
        let children = workers_of(server as u32)?;
        let text = killed(server)?;
        ensure!(text.contains(" of 3 to 127.0.0.1:"), "{text}");
        until(|| Ok(children.iter().all(gone)))?;
        let text = failure(prepared.job().run(&model))?;
        ensure!(text.contains("refused"), "{text}");
        Ok(())
    })
}

#[test]
fn no_process_is_left_of_a_job_with_a_server_whose_parent_is_killed() -> Result<()> {
    alone(|program| {
        // And how many children the server has: one a connection, or one a core.
        for (sets, role, serving) in [
            (
                "echo --set connections=3 --set messages=1000000",
                "echo-server",
                3,
            ),
            (
                "datagram --set clients=3 --set datagrams=1000000",
                "datagram-server",
                runner::cores().min(3),
            ),
        ] {
            let mut parent = Command::new(program)
                .arg("run")
                .args(sets.split(' '))
                .stdout(Stdio::null())
                .spawn()?;
            let mut orphans: BTreeSet<i32> = BTreeSet::new();
            until(|| {
                // Its own children come when the server runs. Before that it may look like one:
                // while a program starts, it has no command line.
                orphans = workers_of(parent.id())?.into_iter().collect();
                Ok(orphans.len() == 3)
            })?;
            let server = server_of(parent.id(), role)?;
            orphans.extend(workers_of(server as u32)?);
            orphans.insert(server);
            ensure!(orphans.len() == 3 + 1 + serving, "{role}: {orphans:?}");
            parent.kill()?;
            parent.wait()?;
            until(|| Ok(orphans.iter().all(gone)))?;
        }
        Ok(())
    })
}
