"""The service behind the abused edge. It stands in a process of its own and prints its port.

What must hold: it sends only what the edge takes (gRPC's flow control), so whatever is held is held in the edge.
"""
import asyncio
import pathlib
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "abuse.v1.Abused"


def raw(data):
    return data


def messages(path):
    """The message classes of the contract in this descriptor set."""
    files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(path).read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"abuse.v1.{name}")) for name in ("Blob", "Want")}


async def serve(contract):
    types = messages(contract)

    async def echo(request, _context):
        return request

    async def flow(request, context):
        want = types["Want"].FromString(request)
        blob = types["Blob"](text="x" * want.size).SerializeToString()
        for _ in range(want.count):
            await context.write(blob)

    async def talk(requests, context):
        async for request in requests:
            await context.write(request)

    kinds = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo, raw, raw),
        "Flow": grpc.unary_stream_rpc_method_handler(flow, raw, raw),
        "Talk": grpc.stream_stream_rpc_method_handler(talk, raw, raw),
    }
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, kinds),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


asyncio.run(serve(sys.argv[1]))
