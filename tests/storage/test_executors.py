"""What the profiles of clouds ask a scheduler for: the plugins' own jobs, sent to servers here.

Kubernetes' server is one that records a job and says that it failed; AWS Batch's is moto's, which
runs nothing either. So what is seen is the request, not a cluster.
"""

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests
import yaml
from conftest import SECRET
from test_workflow_s3 import launched, tiny_project
from workflow_run import ROOT, Project

boto3 = pytest.importorskip("boto3", reason="make storage")
pytestmark = [pytest.mark.storage, pytest.mark.timeout(1800)]
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
clusters: [{{name: here, cluster: {{server: "{address}"}}}}]
users: [{{name: me, user: {{token: "a token"}}}}]
"""


class Cluster(BaseHTTPRequestHandler):
    """A Kubernetes server in which every job fails at once."""

    jobs: list[dict]

    def answer(self, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/jobs"):
            self.jobs.append(body)
        self.answer(body)

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        status = {"active": 0, "succeeded": 0, "failed": 1}
        if "/pods" in self.path:
            self.answer({"kind": "PodList", "apiVersion": "v1", "items": []})
        else:
            self.answer({"kind": "Job", "metadata": {"name": name}, "status": status})

    do_DELETE = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def project(bucket, tmp_path) -> Project:
    """A run in the bucket whose next jobs are those of embed_shard, with one GPU each."""
    made = tiny_project(tmp_path / "mine", bucket)
    launched(made, bucket, "--until", "convert_model", "read_texts")
    return made


def profile_for(project: Project, name: str, bucket: str, **changed: object) -> Path:
    """A copy of a profile, with what its comments tell a user to set."""
    read = yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text("utf-8"))
    read |= {"default-storage-prefix": f"s3://{bucket}/run", "retries": 0, "latency-wait": 1}
    read |= {"storage-s3-endpoint-url": os.environ["AWS_ENDPOINT_URL"]} | changed
    folder = project.folder / name
    folder.mkdir()
    (folder / "profile.yaml").write_text(yaml.safe_dump(read))
    return folder


def sent(project: Project, profile: Path, *words: str) -> str:
    """Run the workflow with a profile, whose jobs all fail; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "kgtextvec", "run", "--workflow-profile", str(profile), *words,
         "--seconds-between-status-checks", "1"],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-3000:]
    assert SECRET not in done.stdout + done.stderr
    return done.stderr


def test_a_pod_asks_for_what_the_rule_needs(project, bucket, tmp_path, monkeypatch):
    handler = type("Recorder", (Cluster,), {"jobs": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    config = tmp_path / "kubeconfig"
    config.write_text(KUBECONFIG.format(address=f"http://127.0.0.1:{server.server_address[1]}"))
    monkeypatch.setenv("KUBECONFIG", str(config))
    try:
        profile = profile_for(project, "kubernetes", bucket)
        text = sent(project, profile, "--envvars", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    finally:
        server.shutdown()
        server.server_close()
    assert handler.jobs, text[-3000:]
    for job in handler.jobs:
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == "your-registry/kgtextvec:0.1.0"
        asked, most = container["resources"]["requests"], container["resources"]["limits"]
        assert asked["nvidia.com/gpu"] == most["nvidia.com/gpu"] == "1"
        assert int(asked["memory"].removesuffix("M")) >= 500
        assert most["memory"] == asked["memory"]
        assert [one["key"] for one in pod["tolerations"]] == ["nvidia.com/gpu"]
        names = {one["name"] for one in container["env"]}
        assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= names
        assert all("secretKeyRef" in one["valueFrom"] for one in container["env"])
        (command,) = container["args"][1:]
        assert re.search(r"--target-jobs '?embed_shard:", command)
        assert "--default-storage-provider" in command
        assert SECRET not in json.dumps(job) and str(project.folder) not in command


def queue_of(server: str) -> str:
    """Make a queue in moto's AWS Batch, whose jobs run nothing; its ARN."""
    requests.post(f"{server}/moto-api/config", json={"batch": {"use_docker": False}}, timeout=60)
    region = {"region_name": "us-east-1"}
    role = boto3.client("iam", **region).create_role(
        RoleName="batch", AssumeRolePolicyDocument="{}", Path="/"
    )["Role"]["Arn"]
    batch = boto3.client("batch", **region)
    place = batch.create_compute_environment(
        computeEnvironmentName="here", type="UNMANAGED", state="ENABLED", serviceRole=role
    )["computeEnvironmentArn"]
    order = [{"order": 1, "computeEnvironment": place}]
    return batch.create_job_queue(
        jobQueueName="mine", state="ENABLED", priority=1, computeEnvironmentOrder=order
    )["jobQueueArn"]


def test_a_job_of_aws_batch_asks_for_what_the_rule_needs(project, bucket, server):
    queue = {"aws-batch-job-queue": queue_of(server)}
    sent(project, profile_for(project, "aws-batch", bucket, **queue))
    batch = boto3.client("batch", region_name="us-east-1")
    found = batch.describe_job_definitions()["jobDefinitions"]
    assert found
    for job in found:
        container = job["containerProperties"]
        assert job["jobDefinitionName"].startswith("snakejob-def-embed_shard-")
        assert container["image"] == "your-registry/kgtextvec:0.1.0-cpu"
        asked = {one["type"]: one["value"] for one in container["resourceRequirements"]}
        assert asked == {"VCPU": "4", "MEMORY": "16384"}
        assert job["timeout"] == {"attemptDurationSeconds": 86400}
        assert SECRET not in json.dumps(job)


def test_sizes_of_aws_batch_are_kept_as_they_are():
    """The plugin makes a size that Fargate doesn't have smaller than the rule asks for."""
    from snakemake_executor_plugin_aws_batch.constant import VALID_RESOURCES_MAPPING

    read = yaml.safe_load((ROOT / "profiles/aws-batch/profile.yaml").read_text("utf-8"))
    threads = dict(one.split("=") for one in read["set-threads"])
    memory = {rule: about["mem_mb"] for rule, about in read["set-resources"].items()}
    assert threads.keys() == memory.keys()
    for rule, n in threads.items():
        assert int(n) in VALID_RESOURCES_MAPPING[memory[rule]], rule
    text = "".join(path.read_text("utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
    blocks = re.split(r"^(?=rule |checkpoint )", text, flags=re.MULTILINE)[1:]
    # finetune_model needs a disk that all machines share.
    remote = {re.match(r"\w+ (\w+)", block)[1] for block in blocks if "localrule:" not in block}
    assert memory.keys() == remote - {"finetune_model"}
