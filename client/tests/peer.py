"""A foreign client: logs on over QUIC with mutual TLS and trades, knowing nothing but the published schema.

    python3 peer.py --host H --port P --ca CA --cert CERT --key KEY --session N --account A --series S
                    [--server-name NAME] [--side Buy|Sell] [--qty N] [--limit N] [--orders N] [--schema XML]

It places the orders in one batch, waits until each was answered, cancels what was accepted and still rests, says
good-bye, and prints one line of JSON: what it did and every message it heard. Exit code 0 when all was answered.
Needs aioquic.
"""

import argparse
import asyncio
import json
import pathlib
import ssl
import struct
import xml.etree.ElementTree as ElementTree

from aioquic.asyncio import connect
from aioquic.quic.configuration import QuicConfiguration

SBE = "{http://fixprotocol.io/2016/sbe}"
FORMATS = {"uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int32": "i", "int64": "q", "char": "B"}
HEADER = struct.Struct("<HHHHQQIHHQ")
LAST, REPEATED = 1, 2


class Schema:
    """Packs and unpacks messages as the published schema says."""

    def __init__(self, path):
        root = ElementTree.parse(path).getroot()
        self.ids = (int(root.get("id")), int(root.get("version")))
        self.types = {t.get("name"): t for t in root.find("types") if t.tag in ("type", "enum")}
        self.messages = {m.get("name"): m for m in root.findall(f"{SBE}message")}
        self.names = {int(m.get("id")): name for name, m in self.messages.items()}

    def fields(self, name):
        for field in self.messages[name].findall("field"):
            kind = self.types[field.get("type")]
            yield field.get("name"), kind, int(field.get("offset"))

    @staticmethod
    def layout(kind):
        primitive = kind.get("primitiveType") or kind.get("encodingType")
        return FORMATS[primitive], int(kind.get("length", "1")), kind.get("length") is not None

    def pack(self, name, req_seq=0, **values):
        message = self.messages[name]
        body = bytearray(int(message.get("blockLength")))
        for field, kind, offset in self.fields(name):
            if field not in values:
                continue
            letter, count, is_array = self.layout(kind)
            value = values[field]
            if is_array:
                body[offset : offset + count] = value.ljust(count, b"\0")
                continue
            choices = {v.get("name"): int(v.text) for v in kind.findall("validValue")}
            struct.pack_into("<" + letter, body, offset, choices.get(value, value))
        header = HEADER.pack(len(body), int(message.get("id")), *self.ids, 0, 0, 0, 0, 0, req_seq)
        return header + bytes(body)

    def unpack(self, frame):
        block, template, schema, version, seq, _, session, index, flags, req_seq = HEADER.unpack_from(frame)
        assert (schema, version) == self.ids and len(frame) == HEADER.size + block
        name = self.names[template]
        values = {"seq": seq, "index": index, "session": session, "flags": flags, "req_seq": req_seq}
        for field, kind, offset in self.fields(name):
            letter, count, is_array = self.layout(kind)
            at = HEADER.size + offset
            if field.startswith("reserved"):
                continue
            if is_array:
                data = frame[at : at + struct.calcsize("<" + letter) * count]
                is_text = kind.get("primitiveType") == "char"
                values[field] = data.rstrip(b"\0").decode("latin-1") if is_text else data.hex()
                continue
            (number,) = struct.unpack_from("<" + letter, frame, at)
            choices = {int(v.text): v.get("name") for v in kind.findall("validValue")}
            values[field] = choices.get(number, number)
        return name, values


async def read(reader, schema):
    head = await reader.readexactly(HEADER.size)
    (block,) = struct.unpack_from("<H", head)
    return schema.unpack(head + await reader.readexactly(block))


async def trade(args, schema):
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=["xqoe/1"], server_name=args.server_name, verify_mode=ssl.CERT_REQUIRED
    )
    configuration.load_verify_locations(args.ca)
    configuration.load_cert_chain(args.cert, args.key)
    heard = []
    async with connect(args.host, args.port, configuration=configuration) as protocol:
        reader, writer = await protocol.create_stream()
        writer.write(schema.pack("Establish", session=args.session, next_out_seq=0))
        name, ack = await read(reader, schema)
        if name != "EstablishAck":
            raise SystemExit(f"not established: {name} {ack}")
        first = ack["next_req_seq"]
        numbers = range(first, first + args.orders)
        batch = b"".join(
            schema.pack(
                "PlaceOrder",
                req_seq=number,
                account=args.account,
                series=args.series,
                qty=args.qty,
                side=args.side,
                order_type="Limit",
                tif="Gtc",
                execution="Any",
                limit=args.limit,
                cl_ord_id=f"peer-{number}".encode(),
                on_disconnect="Cancel",
            )
            for number in numbers
        )
        writer.write(batch)
        leaves = {}
        next_out = ack["next_out_seq"]

        async def hear(waiting):
            nonlocal next_out
            while waiting:
                name, said = await read(reader, schema)
                if name == "Sequence":
                    assert said["next"] == next_out, "a message is missing"
                    writer.write(schema.pack("Sequence", next=first + args.orders))
                    continue
                heard.append({"name": name, **said})
                if name == "Terminate":
                    raise SystemExit(f"terminated: {said}")
                if name != "DoorRejected" and not said["flags"] & REPEATED:
                    next_out += 1
                if name == "OrderAccepted":
                    leaves[said["order"]] = said["qty"]
                elif name == "Executed":
                    leaves[said["order"]] = said["leaves"]
                elif name == "OrderCanceled":
                    leaves.pop(said["order"], None)
                if name == "DoorRejected" or said["flags"] & LAST:
                    waiting.discard(said["req_seq"])

        await asyncio.wait_for(hear(set(numbers)), 20)
        resting = [order for order, left in leaves.items() if left > 0]
        cancels = range(first + args.orders, first + args.orders + len(resting))
        for number, order in zip(cancels, resting):
            writer.write(schema.pack("CancelOrder", req_seq=number, account=args.account, order=order))
        await asyncio.wait_for(hear(set(cancels)), 20)
        writer.write(schema.pack("Terminate"))
        name, bye = await asyncio.wait_for(read(reader, schema), 20)
        while name != "Terminate":
            name, bye = await asyncio.wait_for(read(reader, schema), 20)
    count = lambda name: sum(1 for said in heard if said["name"] == name)
    return {
        "connection": ack["connection"],
        "first_req_seq": first,
        "placed": args.orders,
        "accepted": count("OrderAccepted"),
        "executed": count("Executed"),
        "canceled": count("OrderCanceled"),
        "rejected": count("Rejected") + count("DoorRejected"),
        "next_out_seq": next_out,
        "terminated": bye["reason"],
        "heard": heard,
    }


def main():
    beside = pathlib.Path(__file__).resolve().parent.parent.parent / "protocol" / "schema" / "xq.xml"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--server-name", default="localhost")
    for name in ("--ca", "--cert", "--key"):
        parser.add_argument(name, required=True)
    for name in ("--session", "--account", "--series"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--side", choices=("Buy", "Sell"), default="Buy")
    parser.add_argument("--qty", type=int, default=10)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--orders", type=int, default=4)
    parser.add_argument("--schema", default=str(beside))
    args = parser.parse_args()
    print(json.dumps(asyncio.run(trade(args, Schema(args.schema)))))


main()
