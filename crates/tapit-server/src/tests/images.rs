//! Images: what is in use, what goes, and what whoever brings one is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tapit_engine::{ImageFault, InUse, fake::Script};
use tapit_model::{
    Code, ImageKey, ImageRef, ImageSource, ImageView, LayerState, LayerTransfer, Request, Transfer, TransferFrame,
    World,
};

use super::stage::{Stage, app, create, create_app, image, process, set, set_image};
use crate::api::Core;
use crate::keep;
use crate::service::frames;

fn key(text: &str) -> ImageKey {
    ImageKey::parse(text).expect("a legal key")
}

/// What would stay now.
fn in_use(stage: &Stage) -> InUse {
    keep::in_use(&stage.server.hub, Default::default())()
}

async fn digest(stage: &Stage, name: &str) -> tapit_model::Digest {
    let view = stage.server.core.image(&key(name)).await.expect("held");
    tapit_model::Digest::parse(&view.digest).expect("digest")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_use_is_what_runs_what_is_to_run_and_what_would_be_gone_back_to() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    for name in ["shop:2", "spare:1"] {
        stage.fake.put_image(&image(name), Script::healthy());
    }
    stage.fake.put_image(&image("shop:bad"), Script::never_healthy());
    let held = async |name: &str| {
        let digest = digest(&stage, name).await;
        in_use(&stage).keeps(&image(name), &digest)
    };
    assert!(held("shop:1").await && !held("shop:2").await && !held("spare:1").await);

    // While the new one is tried, the old one is what would be gone back to.
    stage.submit(set_image("shop:bad")).await;
    stage.until("it is tried", async |stage| stage.show("default").await.generation == 2).await;
    stage.full_pass().await;
    assert!(held("shop:1").await && held("shop:bad").await);

    assert!(stage.settle(set_image("shop:2")).await.ok);
    assert!(held("shop:2").await && !held("shop:1").await && !held("shop:bad").await && !held("spare:1").await);

    // A process that is switched off is to run again.
    assert!(stage.settle(set("default", &[("disabled", "true")])).await.ok);
    assert!(held("shop:2").await);

    // The app's image is that of processes to come.
    stage.submit(Request::DeleteProcess { app: app("shop"), process: process("default") }).await;
    stage
        .until("it is gone", async |stage| stage.server.core.processes(&app("shop")).await.is_ok_and(|p| p.is_empty()))
        .await;
    assert!(held("shop:2").await);
    let used_by = stage.server.core.image(&key("shop:2")).await.expect("held").used_by;
    assert_eq!(used_by, ["shop"]);
    let refusal = stage.server.core.delete_image(&key("shop:2"), false).await.expect_err("in use");
    assert_eq!(refusal.code, Code::Conflict);
    stage.submit(Request::SetApp { app: app("shop"), image: Some(None) }).await;
    assert!(!held("shop:2").await);
}

/// The image of the newest generation, pinned or not.
fn newest(world: &World) -> Option<ImageRef> {
    match &world.generations.values().max_by_key(|generation| generation.number)?.template.image {
        ImageSource::Pinned(image) => Some(image.reference.clone()),
        ImageSource::Named(name) => Some(name.clone()),
        ImageSource::Unknown => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_no_moment_between_being_made_ready_and_being_pinned_is_an_image_unused() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let names: Vec<ImageRef> = (0..40).map(|number| image(&format!("next:{number}"))).collect();
    for name in &names {
        stage.fake.put_image(name, Script::healthy());
    }
    let (hub, over) = (Arc::clone(&stage.server.hub), Arc::new(AtomicBool::new(false)));
    let mut digests = Vec::new();
    for name in &names {
        digests.push(digest(&stage, &name.to_string()).await);
    }
    // Somebody who would prune all the time.
    let watching = {
        let (names, over) = (names.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            let asked = keep::in_use(&hub, Default::default());
            let mut seen = 0;
            while !over.load(Ordering::Relaxed) {
                let wanted = hub.ledger.read(newest);
                let in_use = asked();
                let Some(at) = names.iter().position(|name| Some(name) == wanted.as_ref()) else { continue };
                if hub.ledger.read(newest) == wanted {
                    assert!(in_use.keeps(&names[at], &digests[at]), "{} looks unused", names[at]);
                    seen += 1;
                }
            }
            seen
        })
    };
    for name in &names {
        stage.submit(set("default", &[("image", &name.to_string())])).await;
        stage.full_pass().await;
    }
    over.store(true, Ordering::Relaxed);
    assert!(watching.join().expect("never unused") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_told_apart_by_name_digest_and_the_beginning_of_a_digest() {
    let stage = Stage::open().await;
    let digest = digest(&stage, "shop:1").await;
    for text in ["shop:1", digest.as_str(), digest.hex(), digest.short()] {
        let view = stage.server.core.image(&key(text)).await.expect("held");
        assert_eq!(view.name, "shop:1", "{text}");
    }
    // The fake's digests all begin with the same zeros.
    stage.fake.put_image(&image("other:1"), Script::healthy());
    let refusal = stage.server.core.image(&key("000000")).await.expect_err("both");
    assert_eq!(refusal.code, Code::Usage);
    assert!(refusal.message.contains("give more digits"), "{}", refusal.message);
    let refusal = stage.server.core.image(&key("ffffff")).await.expect_err("none");
    assert_eq!(refusal.code, Code::NotFound);
    let outcome = stage.server.core.delete_image(&key(digest.short()), true).await;
    assert!(outcome.is_err(), "a beginning that several have is no name for one");
    let outcome = stage.server.core.delete_image(&key(digest.hex()), false).await.expect("deleted");
    assert_eq!(outcome.message, "deleted image shop:1, freed 1 kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_says_beforehand_what_it_will_do() {
    let stage = Stage::open().await;
    stage.settle(create_app("shop", &[])).await;
    let prune = async |dry| stage.server.core.prune_images(dry).await.expect("pruned").message;
    assert_eq!(prune(true).await, "nothing to prune: every image is in use");
    stage.fake.put_image(&image("old:1"), Script::healthy());
    assert_eq!(prune(true).await, "would delete old:1, which frees 1 kB");
    assert_eq!(prune(false).await, "deleted old:1, freed 1 kB");
    assert_eq!(prune(false).await, "nothing to prune: every image is in use");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_ends_with_the_image_or_with_the_reason() {
    let stage = Stage::open().await;
    let pull = async |name: &str| {
        let frames: Vec<_> = stage.server.core.pull_image(image(name)).await.collect().await;
        frames.into_iter().flatten().next_back().expect("a last frame")
    };
    let done = pull("shop:1").await;
    assert!(matches!(&done, TransferFrame::Done(image) if image.name == "shop:1"), "{done:?}");
    for (name, fault, code) in [
        ("a:1", ImageFault::NotFound, Code::NotFound),
        ("b:1", ImageFault::Denied, Code::Denied),
        ("c:1", ImageFault::Unreachable, Code::Failed),
        ("d:1", ImageFault::Invalid, Code::Usage),
        ("e:1", ImageFault::Host, Code::Failed),
    ] {
        stage.fake.spoil_image(&image(name), fault);
        let failed = pull(name).await;
        assert!(matches!(&failed, TransferFrame::Failed(refusal) if refusal.code == code), "{fault:?}: {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_image_goes_on_when_it_is_pulled_by_hand() {
    let stage = Stage::open().await;
    stage.fake.spoil_image(&image("late:1"), ImageFault::NotFound);
    stage.submit(create_app("shop", &[])).await;
    stage.submit(create("api", &[("image", "late:1")])).await;
    stage.until("it is blocked", async |stage| !stage.show("api").await.blocked.is_empty()).await;
    stage.fake.put_image(&image("late:1"), Script::healthy());
    let frames: Vec<_> = stage.server.core.pull_image(image("late:1")).await.collect().await;
    assert!(matches!(frames.last(), Some(Some(TransferFrame::Done(_)))), "{frames:?}");
    stage.until("it runs", async |stage| stage.status("api").await == "running").await;
}

/// A view that only a transfer would give.
async fn some_view(stage: &Stage) -> ImageView {
    stage.server.core.image(&key("shop:1")).await.expect("held")
}

fn transfer(done: u64) -> Transfer {
    let layer = LayerTransfer { layer: "0".repeat(12), state: LayerState::Fetching, done, total: 50 };
    Transfer { layers: vec![layer] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_told_in_a_few_frames_and_its_last_state_before_its_outcome() {
    let stage = Stage::open().await;
    let view = some_view(&stage).await;
    let begun = Instant::now();
    let frames = frames(&stage.server.hub, |watch| async move {
        for done in 0..=50 {
            watch.send_replace(transfer(done));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(view)
    });
    let frames: Vec<TransferFrame> = frames.filter_map(std::future::ready).collect().await;
    let most = begun.elapsed().as_millis() / 100 + 3;
    assert!((frames.len() as u128) <= most && frames.len() > 2, "{} frames, at most {most}", frames.len());
    let end = &frames[frames.len() - 2..];
    assert!(matches!(end, [TransferFrame::Progress(last), TransferFrame::Done(_)] if *last == transfer(50)), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_goes_on_when_nobody_listens_any_more() {
    let stage = Stage::open().await;
    let view = some_view(&stage).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let (say, said) = tokio::sync::oneshot::channel();
    let stream = frames(&stage.server.hub, |_| async move {
        let _ = gone.await;
        let _ = say.send("through");
        Ok(view)
    });
    drop(stream);
    go.send(()).expect("it waits");
    assert_eq!(said.await, Ok("through"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_ends_what_it_tells() {
    let stage = Stage::open().await;
    let mut stream = frames(&stage.server.hub, |_| std::future::pending());
    stage.server.hub.close();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("it ends");
    assert!(matches!(&end, Some(Some(TransferFrame::Failed(refusal))) if refusal.code == Code::Unavailable), "{end:?}");
    assert!(stream.next().await.is_none());
}
