//! The engine on AWS, put together: the account behind its meter, the images, and what works with both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tapit_ecs::api::SharedApi;
use tapit_ecs::aws::Aws;
use tapit_ecs::engine::clock::HostClock;
use tapit_ecs::engine::pace::Pace;
use tapit_ecs::images::EcsImages;
use tapit_ecs::meter::Metered;
use tapit_ecs::{Ecs, EcsConfig, EcsSettings, Install};
use tapit_engine::{EngineError, SharedEngine};

use super::OWN_PROGRAM;

pub(super) async fn open(settings: &EcsSettings, data_dir: &Path) -> Result<SharedEngine, EngineError> {
    let connected = Aws::connect(settings).await;
    let (aws, region) = connected.map_err(|error| EngineError::act("finding the AWS account", error))?;
    let api: SharedApi = Arc::new(Metered::new(aws));
    let real = data_dir.canonicalize();
    let real = real.map_err(|error| EngineError::act(format!("resolving {}", data_dir.display()), error))?;
    // The same directory is the same server to the account, by whichever path it is named.
    let install = Install::of(&real);
    let images = open_images(real.clone(), Arc::clone(&api), install.clone()).await?;
    let config = EcsConfig {
        data_dir: real,
        install,
        settings: settings.clone(),
        api,
        region,
        images: Arc::new(images),
        clock: Arc::new(HostClock),
        pace: Pace::default(),
    };
    Ok(Ecs::open(config).await?)
}

/// It reads the disk, so it is done on a thread of its own.
async fn open_images(data_dir: PathBuf, api: SharedApi, install: Install) -> Result<EcsImages, EngineError> {
    let opening = move || EcsImages::open(&data_dir, Path::new(OWN_PROGRAM), api, install);
    let opened = tokio::task::spawn_blocking(opening).await;
    let opened = opened.map_err(|error| EngineError::act("opening the images", error))?;
    opened.map_err(|error| EngineError::act("opening the images", error))
}
