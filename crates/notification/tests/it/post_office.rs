//! A mail server of the tests: it takes mails as RFC 5321 says, or answers, hangs and cuts where a test tells it to.
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::Notify,
    task::JoinSet,
};

/// Where in the conversation something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Greeting,
    Rcpt,
    /// In the place of the answer to DATA: the text was not sent yet.
    Data,
    /// In the place of the answer to the final dot.
    End,
}

/// What happens there.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Answer(u16),
    Cut,
    Hang,
    /// Accepts when it is told to.
    Wait(Arc<Notify>),
}

/// One mail that arrived in full, whatever was answered.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Letter {
    /// Value of a header of one line.
    pub(crate) fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    script: VecDeque<(At, Act)>,
    fallback: Option<(At, Act)>,
    letters: Vec<Letter>,
    connections: usize,
    /// Final dots that were answered with acceptance.
    accepted: usize,
}

/// The server. Dropping it closes everything.
pub(crate) struct PostOffice {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PostOffice {
    pub(crate) async fn open(tls: Option<mesh::tls::Reloading>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut conversations = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                conversations.spawn(async move {
                    // A conversation that breaks off is what some tests are about.
                    let _ = match tls {
                        None => converse(stream, &state).await,
                        Some(tls) => match tls.acceptor().accept(stream).await {
                            Ok(stream) => converse(stream, &state).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { address, state, _tasks: tasks }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The next conversation goes so.
    pub(crate) fn next(&self, at: At, act: Act) {
        held(&self.state).script.push_back((at, act));
    }

    /// All conversations without a script go so; `None` is well.
    pub(crate) fn always(&self, what: Option<(At, Act)>) {
        held(&self.state).fallback = what;
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        held(&self.state).letters.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        held(&self.state).connections
    }

    pub(crate) fn accepted(&self) -> usize {
        held(&self.state).accepted
    }
}

/// One conversation, in which at most one thing is out of the ordinary.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, state: &Mutex<State>) -> io::Result<()> {
    let planned = {
        let mut state = held(state);
        state.connections += 1;
        state.script.pop_front().or_else(|| state.fallback.clone())
    };
    let act = |at: At| planned.as_ref().filter(|(place, _)| *place == at).map(|(_, act)| act.clone());
    let mut stream = BufReader::new(stream);
    if !answer(&mut stream, act(At::Greeting), "220 post office").await? {
        return Ok(());
    }
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" | "HELO" => answer(&mut stream, None, "250 post office").await?,
            "MAIL" => answer(&mut stream, None, "250 sender").await?,
            "RCPT" => {
                to = line.trim().trim_start_matches("RCPT TO:<").trim_end_matches('>').to_owned();
                answer(&mut stream, act(At::Rcpt), "250 recipient").await?
            }
            "DATA" => match answer(&mut stream, act(At::Data), "354 go on").await? {
                true => {
                    let text = read_text(&mut stream).await?;
                    held(state).letters.push(Letter { to: to.clone(), text });
                    let is_well = matches!(act(At::End), None | Some(Act::Wait(_)));
                    let goes_on = answer(&mut stream, act(At::End), "250 accepted").await?;
                    held(state).accepted += usize::from(is_well);
                    goes_on
                }
                false => false,
            },
            "QUIT" => {
                answer(&mut stream, None, "221 bye").await?;
                return Ok(());
            }
            _ => answer(&mut stream, None, "502 what").await?,
        };
    }
}

/// Answers, or does what the script says; a cut ends the conversation.
async fn answer<S: AsyncWrite + AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
    act: Option<Act>,
    usual: &str,
) -> io::Result<bool> {
    let (line, goes_on) = match act {
        None => (usual.to_owned(), true),
        Some(Act::Answer(code)) => (format!("{code} as told"), false),
        Some(Act::Cut) => return Err(io::ErrorKind::ConnectionAborted.into()),
        Some(Act::Hang) => std::future::pending().await,
        Some(Act::Wait(gate)) => {
            gate.notified().await;
            (usual.to_owned(), true)
        }
    };
    stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.get_mut().flush().await?;
    Ok(goes_on)
}

async fn read_text<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
