//! Apiservers in processes of their own.

use super::{Lab, free_port};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// An apiserver in a process of its own.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lab {
    /// Starts an apiserver in a process of its own that may have only so many
    /// descriptors open, and waits for it; ends with what this gives.
    pub async fn serve_in_process(&mut self, descriptors: usize) -> Process {
        let port = free_port();
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\"")])
            .arg("sh")
            .arg(env!("CARGO_BIN_EXE_hardway-apiserver"))
            .args(self.arguments(port));
        self.run(command, port).await
    }

    /// The same with Kubernetes' own apiserver.
    pub async fn serve_kubernetes(&mut self, binary: &Path) -> Process {
        let port = free_port();
        let certificate = self.dir.path().join("server.crt");
        let mut command = Command::new(binary);
        command.args(self.arguments(port)).args([
            &format!("--service-account-key-file={}", certificate.display()),
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--enable-bootstrap-token-auth",
            // Nobody makes tokens for the accounts of pods.
            "--disable-admission-plugins=ServiceAccount",
        ]);
        self.run(command, port).await
    }

    async fn run(&mut self, mut command: Command, port: u16) -> Process {
        self.address = ([127, 0, 0, 1], port).into();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process(command.spawn().expect("it is an apiserver"));
        self.wait_ready().await;
        process
    }
}
