//! Chapter 5: pods that heal themselves.

use super::{Chapter, Step, becomes, shows};

pub const CHAPTER: Chapter = Chapter {
    number: 5,
    title: "Self-healing",
    steps: STEPS,
    afterwards: &[],
};

const STEPS: &[Step] = &[
    shows(
        "An application whose liveness probe looks for a file that nobody writes.",
        "kubectl create -f lb-app-deployment-liveness.yml",
        &["deployment*/lb-app-liveness created"],
    ),
    becomes(
        "It runs, for now.",
        "kubectl get pods",
        &["lb-app-liveness-* 1/1 Running 0 *"],
    ),
    becomes(
        "The probe fails, the container is ended and started anew; the restart is counted.",
        "kubectl get pods",
        &["lb-app-liveness-* 1 (*s ago) *"],
    ),
    becomes(
        "What the ended container said last is still there.",
        "kubectl logs {pod} --previous",
        &["*SIGTERM received, going on for * s", "*good bye"],
    ),
    becomes(
        "It happens again, and now the restart has to wait.",
        "kubectl get pods",
        &["lb-app-liveness-* 0/1 CrashLoopBackOff * (*s ago) *"],
    ),
    becomes(
        "The pod's events tell the whole story, and count what happened more than once.",
        "kubectl describe pod {pod}",
        &[
            "Reason: CrashLoopBackOff",
            "Last State: Terminated",
            "Restart Count: *",
            "Normal Scheduled * default-scheduler Successfully assigned tutorial-5/{pod} to worker-*",
            "Normal Pulling * (x* over *) kubelet Pulling image \"hardway.example/lb-app:1\"",
            "Normal Pulled * kubelet Successfully pulled image \"hardway.example/lb-app:1\" in *",
            "Normal Created * (x* over *) kubelet Created container: lb-app",
            "Normal Started * (x* over *) kubelet Started container lb-app",
            "Warning Unhealthy * (x* over *) kubelet Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory",
            "Normal Killing * (x* over *) kubelet Container lb-app failed liveness probe, will be restarted",
            "Warning BackOff * kubelet Back-off restarting failed container lb-app in pod {pod}_tutorial-5(*)",
        ],
    ),
    becomes(
        "The same events, as objects.",
        "kubectl get events --field-selector reason=Unhealthy",
        &["* Warning Unhealthy pod/{last} Liveness probe failed: *"],
    ),
    becomes(
        "After ten seconds it is tried again; the next pause is twice as long.",
        "kubectl get pods",
        &["lb-app-liveness-* 2 (*s ago) *"],
    ),
    shows(
        "The probe is told to look for a file that exists.",
        "kubectl patch deployment lb-app-liveness --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/livenessProbe/exec/command/1\",\"value\":\"/etc/passwd\"}]'",
        &["deployment.apps/lb-app-liveness patched"],
    ),
    shows(
        "A new pod takes over.",
        "kubectl rollout status deployment lb-app-liveness",
        &["deployment \"lb-app-liveness\" successfully rolled out"],
    ),
    becomes(
        "It is alone, and well.",
        "kubectl get pods",
        &["lb-app-liveness-* 1/1 Running 0 *", "!{last} *"],
    ),
    shows(
        "Its program is ended from inside.",
        "kubectl exec {pod} -- kill 1",
        &[],
    ),
    becomes(
        "It is started again, in the same pod.",
        "kubectl get pods",
        &["{last} 1/1 Running 1 (*s ago) *"],
    ),
    becomes(
        "The pod remembers how the last one ended.",
        "kubectl describe pod {pod}",
        &[
            "Restart Count: 1",
            "Last State: Terminated",
            "Reason: Completed",
            "Exit Code: 0",
        ],
    ),
];
