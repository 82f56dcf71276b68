# SPDX-License-Identifier: MIT
"""A region of AWS beside a fleet (aws_world.py): its nodes are instances there, and targets of groups."""
import json
import os
import subprocess
import time
import urllib.request

import salt_env
from daemons import can_connect, spawn, wait_for

WORLD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "aws_world.py")
REGION = "eu-west-1"
SECRET = "s3cret/World+Key"


class Aws:
    def __init__(self, fleet, delay_s=2):
        self.fleet, self.host, self.port = fleet, f"{fleet.net}.3", fleet.base + 80
        self.url = f"http://{self.host}:{self.port}"
        python = str(salt_env.path("aws") / "bin/python3")
        self.process = spawn(fleet.dir, "aws", [python, "-B", WORLD, self.host, str(self.port)])
        wait_for("AWS listens", lambda: can_connect(self.host, self.port), seconds=60)
        self.home = f"{fleet.dir}/operator/.aws"
        os.makedirs(self.home, mode=0o700, exist_ok=True)
        self.write("credentials", f"[shop]\naws_access_key_id = AKIDWORLD\naws_secret_access_key = {SECRET}\n")
        self.make(delay_s)

    def write(self, name, text):
        with open(os.open(f"{self.home}/{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)

    def world(self, **question):
        data = json.dumps(question).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(f"{self.url}/_world", data), timeout=60) as r:
            return json.loads(r.read())

    def boto(self, service, method, **arguments):
        """What boto3 gets; it goes through the same strict layer."""
        return self.world(boto=[service, method, arguments])

    def make(self, delay_s):
        net = f"{self.fleet.net}.0/24"
        self.vpc = self.boto("ec2", "create_vpc", CidrBlock=net)["Vpc"]["VpcId"]
        self.subnet = self.boto("ec2", "create_subnet", VpcId=self.vpc, CidrBlock=net)["Subnet"]["SubnetId"]
        self.ids = {n.id: self.instance(n) for n in self.fleet.nodes}
        self.group = self.target_group("site", delay_s)
        self.world(health={i: f"{n.host}:{n.port}" for n, i in ((n, self.ids[n.id]) for n in self.fleet.nodes)})

    def instance(self, node, host=None, **more):
        tags = [{"Key": k, "Value": v} for k, v in dict({"Role": "web", "Name": node.id, "dir": node.srv}, **more).items()]
        made = self.boto("ec2", "run_instances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1, SubnetId=self.subnet,
                         PrivateIpAddress=host or node.host, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
        return made["Instances"][0]["InstanceId"]

    def target_group(self, name, delay_s):
        arn = self.boto("elbv2", "create_target_group", Name=name, Protocol="HTTP", VpcId=self.vpc,
                        Port=self.fleet.base + 80)["TargetGroups"][0]["TargetGroupArn"]
        self.set_delay(arn, delay_s)
        if self.ids:
            self.boto("elbv2", "register_targets", TargetGroupArn=arn, Targets=[{"Id": i} for i in self.ids.values()])
        return arn

    def set_delay(self, arn, delay_s):
        self.boto("elbv2", "modify_target_group_attributes", TargetGroupArn=arn,
                  Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay_s)}])
        self.world(delay={arn: delay_s})

    def states(self, arn=None):
        """{instance: state} as boto3 sees it."""
        got = self.boto("elbv2", "describe_target_health", TargetGroupArn=arn or self.group)["TargetHealthDescriptions"]
        return {t["Target"]["Id"]: t["TargetHealth"]["State"] for t in got}

    def all_healthy(self):
        return self.states() == {i: "healthy" for i in self.ids.values()}

    def servers(self):
        return "\n".join(f"    {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, lb_server: {self.ids[n.id]}, "
                         f"ssh: {{port: {n.ssh_port}}}}}" for n in self.fleet.nodes)

    def listed(self, vars="[zone, \"tag:dir\"]", timeout="30s", **changes):
        """The same nodes, as EC2 lists them."""
        ask = dict({"region": REGION, "profile": "shop", "endpoint": f'"{self.url}"', "filters": '{"tag:Role": web}', "name": '"tag:Name"'},
                   **changes)
        words = ", ".join(f"{k}: {v}" for k, v in ask.items() if v is not None)
        return f"    ec2: {{{words}}}\n    port: {self.fleet.base + 80}\n    vars: {vars}\n    timeout: {timeout}"

    def tag(self, node, key, value):
        self.boto("ec2", "create_tags", Resources=[self.ids[node]], Tags=[{"Key": key, "Value": value}])

    def tls(self, name):
        """A port with a certificate of that name; returns its URL and the certificate's file."""
        cert, key, port = f"{self.fleet.dir}/aws.crt", f"{self.fleet.dir}/aws.key", self.port + 1
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
                        "-days", "2", "-keyout", key, "-out", cert], check=True, capture_output=True)
        self.world(tls=[self.host, port, cert, key])
        return f"https://{self.host}:{port}", cert

    def scaling_group(self, name, **more):
        """The nodes' instances in one Auto Scaling group."""
        self.boto("autoscaling", "create_launch_configuration", LaunchConfigurationName=name, ImageId="ami-12c6146b",
                  InstanceType="t3.micro")
        self.boto("autoscaling", "create_auto_scaling_group", AutoScalingGroupName=name, LaunchConfigurationName=name,
                  DesiredCapacity=0, VPCZoneIdentifier=self.subnet, **dict({"MinSize": 0, "MaxSize": 9}, **more))
        self.boto("autoscaling", "attach_instances", AutoScalingGroupName=name, InstanceIds=list(self.ids.values()))

    def lifecycles(self):
        found = self.boto("autoscaling", "describe_auto_scaling_groups")["AutoScalingGroups"][0]["Instances"]
        return {i["InstanceId"]: i["LifecycleState"] for i in found}

    def classic(self, name):
        self.boto("elb", "create_load_balancer", LoadBalancerName=name, Subnets=[self.subnet],
                  Listeners=[{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}])
        self.boto("elb", "modify_load_balancer_attributes", LoadBalancerName=name,
                  LoadBalancerAttributes={"ConnectionDraining": {"Enabled": True, "Timeout": 5}})
        self.boto("elb", "register_instances_with_load_balancer", LoadBalancerName=name,
                  Instances=[{"InstanceId": i} for i in self.ids.values()])

    def application(self, name, group):
        """An application load balancer before the group; what CloudWatch calls it."""
        arn = self.boto("elbv2", "create_load_balancer", Name=name, Subnets=[self.subnet])["LoadBalancers"][0]["LoadBalancerArn"]
        self.boto("elbv2", "create_listener", LoadBalancerArn=arn, Protocol="HTTP", Port=80,
                  DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
        return arn.partition(":loadbalancer/")[2]

    def count(self, namespace, dimensions, values):
        """As if CloudWatch had these values of three and four minutes ago."""
        named = [{"Name": k, "Value": v} for k, v in dimensions.items()]
        self.boto("cloudwatch", "put_metric_data", Namespace=namespace, MetricData=[
            {"MetricName": metric, "Dimensions": named, "Timestamp": int(time.time()) - 180 - 60 * i, "Value": v}
            for metric, all_values in values.items() for i, v in enumerate(all_values)])

    def members(self, name):
        found = self.boto("elb", "describe_load_balancers", LoadBalancerNames=[name])["LoadBalancerDescriptions"][0]
        return {i["InstanceId"] for i in found["Instances"]}

    def inner(self, more="", **changes):
        words = dict({"target_group": "site", "region": REGION, "profile": "shop", "endpoint": f'"{self.url}"', "drain_timeout": "20s"},
                     **changes)
        return "{" + ", ".join(f"{k}: {v}" for k, v in words.items() if v is not None) + more + "}"

    def block(self, more="", **changes):
        return f"    elbv2: {self.inner(more, **changes)}"

    def log(self):
        return self.world(log=True)
