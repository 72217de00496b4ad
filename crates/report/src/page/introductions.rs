//! What each job is and where one meets it, for readers who have never seen it.

use suite::Workload;

/// Three sentences: what is done, what that costs, and where one meets it.
pub(crate) fn introduction(workload: Workload) -> [&'static str; 3] {
    match workload {
        Workload::Counter => [
            "Several workers add 1 to one shared counter, behind a lock, with an atomic \
             instruction, or with no guard at all.",
            "Adding costs almost nothing, so this measures what taking turns costs, and what is \
             lost without it.",
            "Every cache, statistic and connection count that several units share is this job.",
        ],
        Workload::Pipeline => [
            "Producers put items into a queue of limited capacity, and consumers take them out \
             until all have been processed.",
            "A full queue has to hold producers back and an empty one consumers, and each of \
             these waits costs a wake-up.",
            "Log shippers, build steps and stream processors are such queues from end to end.",
        ],
        Workload::Primes => [
            "A pool of workers counts the primes of a range by trial division.",
            "Nothing is shared and no unit waits, so this shows whether a model uses all the \
             cores, and what it takes to divide the work.",
            "Compression, parsing and simulation look like this when they are given one core each.",
        ],
        Workload::Exchange => [
            "A writer sends messages over a queue, then stores an integer, then sends an end \
             marker; the reader has to see all of it, in that order.",
            "This measures what one message costs; between processes, that is a copy and a call \
             into the kernel.",
            "Two services on one machine, or a plug-in in a process of its own, talk like this.",
        ],
        Workload::Fetch => [
            "Some URLs that answer after different delays are fetched all at once.",
            "A model that waits for all at once is done when the slowest answer is there; one that \
             waits in turn takes the sum of them.",
            "A page that needs five services before it can answer works like this.",
        ],
        Workload::Offload => [
            "Blocking calls have to be made while a heartbeat goes on, handed to a pool or made \
             inline, by mistake.",
            "A pool costs threads and a hand-over for each call; without one, everything else \
             stops for as long as the call takes.",
            "Database drivers, name look-ups and file systems block, and async code calls them.",
        ],
        Workload::Download => [
            "Images go from an HTTP server into a directory, with a limit on how many at once, \
             and every one of them is verified.",
            "Sockets, disk and a limit come together here, so it shows a model with the library \
             that its users would take, and not the model alone.",
            "Crawlers, mirrors and package managers do this all day.",
        ],
        Workload::PingPong => [
            "A token goes round a ring of units, and each of them sleeps until it arrives.",
            "Only one unit has anything to do at any time, so this is the price of a switch from \
             one to the next.",
            "Chains of actors, of filters or of remote calls hand one request along like this.",
        ],
        Workload::Sleepers => [
            "Many units wait at once, each for the same while, and have to wake in time.",
            "They do nothing else, so this is what a unit costs by existing, above all in memory.",
            "Servers with open but quiet connections are full of such sleepers.",
        ],
        Workload::Spawn => [
            "Units are started, each answers with one number, and all are joined before the next \
             batch begins.",
            "The work is next to nothing, so this is what it costs to start a unit, to hear from \
             it and to see it end.",
            "A server that gives each request a unit of its own pays this for every request.",
        ],
        Workload::Deadlines => [
            "Operations wait for an answer over a connection, at most a limit of them at once, and \
             each is cut when its deadline has passed.",
            "Nearly all are in time, so this is what a deadline costs that does not fire, and how \
             fast a model cancels what is in flight.",
            "Clients of remote services set a deadline for each request, and servers stop work that \
             a client no longer waits for.",
        ],
        Workload::Echo => [
            "A TCP server sends back what its clients send, over many connections that are all \
             open at once.",
            "Each message is a wake-up with hardly any work, so schedulers and readiness queues \
             decide the time.",
            "Chats, brokers and proxies are this with more logic in the middle.",
        ],
        Workload::Datagram => [
            "Clients send small UDP datagrams to a server that sends each of them back, with a few \
             in flight at once; some may be lost, and are sent again after a timeout.",
            "Each datagram is a system call at every step, so this is what a model adds to a call \
             and to the wait for the next one; with losses, it is what its timers cost, too.",
            "Name servers, games, metrics and QUIC send such datagrams.",
        ],
        Workload::Serve => [
            "Files are served over HTTP to a load generator, in a closed loop or at a rate that does \
             not depend on the answers.",
            "At a rate, latency counts from when a request was due, so the time that it waits is \
             included; idle connections show what one costs, and CPU work shows what it delays.",
            "Web servers and API servers work like this.",
        ],
        Workload::Proxy => [
            "Requests are passed on to a server, and its answers back, or bytes through tunnels; \
             the same requests have gone direct just before.",
            "Each client needs a wait on two connections at once, so the cost of one more wait shows \
             in the added latency.",
            "Forward and reverse proxies, gateways and load balancers work like this.",
        ],
        Workload::Scan => [
            "Every port of a range is connected to, at most a limit of them at once, to find which \
             are open, which refuse, and which do not answer in time.",
            "Most connections are refused at once, so this is what a short connection costs; ports \
             that do not answer show whether as many wait together as may.",
            "Port scanners, health checks and crawlers of many hosts work like this.",
        ],
        Workload::Chat => [
            "Members of chat rooms send each other messages through a server, in a closed loop or at \
             a rate; in some jobs, some of them read nothing until the end.",
            "One message is many deliveries, so waking members and writing to them decide the time; \
             what becomes of a member that does not read is the same policy in every model.",
            "Chats, games, notifications and market data work like this.",
        ],
        Workload::Send => [
            "Files go to another process over TCP, which says that it has each only when its \
             digest is right and it is synced; where a connection is cut, they go on.",
            "Hashing and the disk block while sockets wait, so what counts is where a model \
             hands calls over, and how many bytes it keeps moving meanwhile.",
            "Backups, replicas and copies to another machine work like this.",
        ],
        Workload::Files => [
            "Local files are read, hashed and their lines counted, the biggest first.",
            "Reading blocks and hashing computes, so each file is both a call to hand over and \
             a core to keep busy.",
            "Backup tools, indexers and build systems begin with this.",
        ],
        Workload::Thumbnails => [
            "JPEG images are decoded, made small and encoded again.",
            "Every model makes the same call for each image, so this shows whether all cores stay \
             busy until the end, and what a model costs besides.",
            "Photo libraries do it, and so do sites that let people upload pictures.",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_told_in_three_sentences_of_its_own() {
        let mut told = Vec::new();
        for &workload in Workload::ALL {
            for sentence in introduction(workload) {
                assert!(sentence.ends_with('.'), "{workload}: {sentence}");
                let ends = sentence.matches(['.', '!', '?']).count();
                assert_eq!(ends, 1, "{workload}: {sentence}");
                assert!(sentence.starts_with(char::is_uppercase), "{sentence}");
                assert!(!sentence.contains("  "), "{sentence}");
                told.push(sentence);
            }
        }
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), Workload::ALL.len() * 3);
    }
}
