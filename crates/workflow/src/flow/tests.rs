//! Histories of each release replay on today's code: a run that waits for a person outlives many of them. They are saved by
//! `tests/it/history.rs`.
use std::{fs, path::PathBuf};

use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayError, WorkflowReplayer, WorkflowReplayerOptions};

use super::{Approval, step};

/// Saved histories: of an approval, one that went to the owner, one that failed at its first step, one that was canceled,
/// one that waits for its second vote.
const HISTORIES: usize = 5;

async fn replay(history: &str) -> Result<(), WorkflowReplayError> {
    let options = WorkflowReplayerOptions::new().register_workflow::<Approval>().expect("it is the only one").build();
    let replayer = WorkflowReplayer::new(options).expect("one workflow is registered");
    let history = WorkflowHistory::from_json(history.as_bytes()).expect("the file is a history as the SDK writes it");
    replayer.replay_workflow(history).await
}

fn histories() -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let files =
        fs::read_dir(folder).expect("the folder is part of the crate").map(|entry| entry.expect("readable").path());
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).expect("readable"));
    files.filter(|path| path.extension().is_some_and(|end| end == "json")).map(read).collect()
}

#[tokio::test]
async fn wfl_20_every_saved_history_replays() {
    let histories = histories();
    assert_eq!(histories.len(), HISTORIES);
    for (path, history) in histories {
        let replayed = replay(&history).await;
        assert!(replayed.is_ok(), "{}: {replayed:?}", path.display());
    }
}

/// So that the test above can fail.
#[tokio::test]
async fn a_history_of_other_steps_does_not_replay() {
    for (path, history) in histories() {
        let other = history.replace(&format!("\"{}\"", step::CHECK_DOCUMENT), "\"check_nothing\"");
        assert_ne!(history, other, "{}", path.display());
        assert!(replay(&other).await.is_err(), "{}", path.display());
    }
}
