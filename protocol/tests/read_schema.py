"""Decodes golden frames with nothing but the published schema: python3 read_schema.py SCHEMA GOLDEN_FOLDER.

Prints one line of JSON a frame, in the order of their names; 64-bit numbers are strings. Any disagreement ends it.
"""

import json
import pathlib
import struct
import sys
import xml.etree.ElementTree as ElementTree

SBE = "{http://fixprotocol.io/2016/sbe}"
FORMATS = {"uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int32": "i", "int64": "q", "char": "c"}


def fail(message):
    sys.exit(f"read_schema: {message}")


class Type:
    """A type of the schema: its length in bytes, and how its bytes are read."""

    def __init__(self, element):
        self.choices = {int(v.text): v.get("name") for v in element.findall("validValue")}
        self.primitive = element.get("primitiveType") or element.get("encodingType")
        self.count = int(element.get("length", "1"))
        self.is_array = element.get("length") is not None
        self.max_value = element.get("maxValue")
        self.length = struct.calcsize("<" + FORMATS[self.primitive]) * self.count

    def read(self, data, where):
        if self.is_array and self.primitive == "char":
            return data.rstrip(b"\0").decode("ascii")
        if self.is_array and self.primitive != "uint8":
            numbers = struct.unpack(f"<{self.count}{FORMATS[self.primitive]}", data)
            return [str(n) if self.length == 8 * self.count else n for n in numbers]
        if self.is_array:
            if self.max_value is not None and any(byte > int(self.max_value) for byte in data):
                fail(f"{where}: a byte is above {self.max_value}")
            return data.hex()
        (number,) = struct.unpack("<" + FORMATS[self.primitive], data)
        if self.choices:
            if number not in self.choices:
                fail(f"{where}: {number} is no valid value")
            return self.choices[number]
        return str(number) if self.length == 8 else number


def read_fields(fields, data, where):
    """Reads (name, type, offset) triples; offset none means after the one before."""
    values, at = {}, 0
    for name, kind, offset in fields:
        at = at if offset is None else offset
        values[name] = kind.read(data[at : at + kind.length], f"{where}.{name}")
        at += kind.length
    return values, at


def main():
    schema = ElementTree.parse(sys.argv[1]).getroot()
    if schema.get("byteOrder") != "littleEndian":
        fail("byteOrder is not littleEndian")

    def composite(name):
        return [(t.get("name"), Type(t), None) for t in schema.find(f"types/composite[@name='{name}']")]

    header_fields = composite(schema.get("headerType"))
    types = {t.get("name"): Type(t) for t in schema.find("types") if t.tag in ("type", "enum")}
    messages = {int(m.get("id")): m for m in schema.findall(f"{SBE}message")}

    seen = set()
    for path in sorted(pathlib.Path(sys.argv[2]).glob("*.hex"), key=lambda p: p.stem):
        data = bytes.fromhex(path.read_text())
        header, body_at = read_fields(header_fields, data, path.stem)
        message = messages.get(header["templateId"])
        if message is None:
            fail(f"{path.name}: the schema has no message {header['templateId']}")
        if message.get("name") != path.stem:
            fail(f"{path.name}: the schema calls message {header['templateId']} {message.get('name')}")
        if (header["schemaId"], header["version"]) != (int(schema.get("id")), int(schema.get("version"))):
            fail(f"{path.name}: another schema or version than the schema's")
        if not header["blockLength"] == int(message.get("blockLength")) == len(data) - body_at:
            fail(f"{path.name}: the block is not as long as the schema says")
        fields = [(f.get("name"), types[f.get("type")], int(f.get("offset"))) for f in message.findall("field")]
        values, _ = read_fields(fields, data[body_at:], path.stem)
        print(json.dumps({"name": path.stem, "header": header, "fields": values}, separators=(",", ":")))
        seen.add(header["templateId"])

    packet_fields, head_fields = composite("packetHeader"), composite("packetMessageHead")
    for path in sorted(pathlib.Path(sys.argv[2]).glob("packets/*.hex"), key=lambda p: p.stem):
        data = bytes.fromhex(path.read_text())
        packet, head_at = read_fields(packet_fields, data, path.stem)
        head, body_length = read_fields(head_fields, data[head_at:], path.stem)
        body_at = head_at + body_length
        message = messages.get(head["templateId"])
        if message is None or message.get("name") != path.stem:
            fail(f"{path.name}: the schema has no such message {head['templateId']}")
        if packet["length"] != len(data) or packet["version"] != int(schema.get("version")):
            fail(f"{path.name}: another length or version than the schema's")
        if not 8 * head["words"] == int(message.get("blockLength")) == len(data) - body_at:
            fail(f"{path.name}: the body is not as long as the schema says")
        fields = [(f.get("name"), types[f.get("type")], int(f.get("offset"))) for f in message.findall("field")]
        values, _ = read_fields(fields, data[body_at:], path.stem)
        seen.add(head["templateId"])
        print(json.dumps({"name": path.stem, "packet": packet, "head": head, "fields": values}, separators=(",", ":")))
    if seen != set(messages):
        fail(f"no golden frame for {sorted(set(messages) - seen)}")


main()
