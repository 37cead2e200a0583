"""A client for passmanager over gRPC, written from its documents and .proto files.

Needs grpcio, protobuf, cryptography, argon2-cffi and protoc (Debian: python3-grpcio python3-protobuf python3-cryptography
python3-argon2 protobuf-compiler libprotobuf-dev).
"""

import hmac
import importlib
import os
import pathlib
import secrets
import subprocess
import sys
import tempfile
import uuid

import argon2.low_level
import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

import protocol

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def _load_contract():
    """Makes the messages of the contract with protoc, in a directory that is gone once they are loaded."""
    names = {
        "error": "common.v1.error", "secure": "common.v1.secure", "vault": "common.v1.vault", "kdf": "common.v1.kdf",
        "user": "user.v1.user_service", "session": "session.v1.session_service", "data": "data.v1.data_service",
    }
    files = [str(path) for path in PROTO.rglob("*.proto")]
    with tempfile.TemporaryDirectory(prefix="passmanager-") as directory:
        subprocess.run(["protoc", f"-I{PROTO}", f"--python_out={directory}", *files], check=True)
        sys.path.insert(0, directory)
        try:
            return {short: importlib.import_module(f"passmanager.{name}_pb2") for short, name in names.items()}
        finally:
            sys.path.remove(directory)


contract = _load_contract()


class PassmanagerError(Exception):
    """A failed call: its gRPC status, and the numbers and fields of its reasons where the server gave any. Of a sealed call
    they count only when the server's seal opened, of a public call they are what the path says."""

    def __init__(self, status, reasons):
        super().__init__(f"{status.name} {reasons}")
        self.status, self.reasons = status, reasons


class WrongCredentials(PassmanagerError):
    """A wrong password or an unknown name: the two look alike."""


class UntrustedServer(Exception):
    """The server did not prove what it claims."""


def seal(key, plaintext, aad):
    """nonce | tag | ciphertext."""
    nonce = secrets.token_bytes(12)
    sealed = AESGCM(key).encrypt(nonce, plaintext, aad)
    return nonce + sealed[-16:] + sealed[:-16]


def unseal(key, sealed, aad):
    return AESGCM(key).decrypt(sealed[:12], sealed[28:] + sealed[12:28], aad)


def seal_blob(key, plaintext, aad):
    return b"\x01" + seal(key, plaintext, aad)


def unseal_blob(key, blob, aad):
    if blob[:1] != b"\x01":
        raise ValueError("unknown format")
    return unseal(key, blob[1:], aad)


def derive(password, salt, kdf):
    """srp_secret and master_key; refuses weak or absurd parameters first."""
    protocol.check_kdf(kdf.algorithm, kdf.memory_kib, kdf.iterations, kdf.parallelism)
    root = argon2.low_level.hash_secret_raw(
        protocol.password_bytes(password), salt, kdf.iterations, kdf.memory_kib, kdf.parallelism, 32,
        argon2.low_level.Type.ID, 0x13)
    return protocol.keys_of_root(root)


def _unary(channel, service, rpc, request):
    module = contract[service]
    response_type = getattr(module, f"{rpc}Response")
    path = f"/passmanager.{service}.v1.{service.capitalize()}Service/{rpc}"
    call = channel.unary_unary(path, type(request).SerializeToString, response_type.FromString)
    return call(request, timeout=30)


def _public(channel, service, rpc, request):
    """A call in clear; raises PassmanagerError."""
    try:
        return _unary(channel, service, rpc, request)
    except grpc.RpcError as error:
        detail = _detail(error)
        reasons = None if detail is None else _reasons_of(contract["error"].Failure.FromString(detail))
        raise PassmanagerError(error.code(), reasons) from None


def _detail(error):
    """The one detail of a failure, serialized; None when there is none: google.rpc.Status.details[0].value."""
    status = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    return None if status is None else _field(_field(status, 3), 2)


def _reasons_of(failure):
    return [(reason.code, reason.field) for reason in failure.error_list]


# Room for the failures of large batches; and no retries by the transport, which would send a request number twice.
_OPTIONS = [("grpc.max_metadata_size", 64 * 1024), ("grpc.enable_retries", 0)]


def connect(target, authority=None):
    """A channel with TLS to servers whose certificate `authority` (PEM) signed; without it in clear, for loopback."""
    if authority is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(authority), options=_OPTIONS)


def register(channel, username, password, invite_code=""):
    """Makes an account with a fresh vault key; raises PassmanagerError."""
    kdf = contract["kdf"].KdfParameters(algorithm=1, memory_kib=65536, iterations=3, parallelism=1)
    srp_salt, master_key_salt = secrets.token_bytes(32), secrets.token_bytes(32)
    srp_secret, master_key = derive(password, master_key_salt, kdf)
    header = contract["vault"].VaultHeader(vault_key=secrets.token_bytes(32), version=1)
    _public(channel, "user", "RegisterUser", contract["user"].RegisterUserRequest(
        username_hash=protocol.username_hash(username),
        srp_salt=srp_salt,
        srp_verifier=protocol.verifier(protocol.exponent_x(srp_salt, srp_secret)),
        master_key_salt=master_key_salt,
        kdf=kdf,
        invite_code=invite_code,
        encrypted_vault_header=seal_blob(
            master_key, protocol.pad(header.SerializeToString(), 256), protocol.frame("passmanager/v1 vault header")),
    ))


def delete_account(channel, username, password):
    """Ends the account with everything in it. DeleteUser wants to be the first request of its session."""
    Vault(channel, username, password).call("user", "DeleteUser", contract["user"].DeleteUserPayload())


class Vault:
    """A vault that is logged in."""

    def __init__(self, channel, username, password):
        """Logs in; raises WrongCredentials, UntrustedServer or PassmanagerError."""
        name_hash = protocol.username_hash(username)
        started = _public(channel, "session", "StartSession", contract["session"].StartSessionRequest(
            username_hash=name_hash, client_protocol=1))
        srp_secret, master_key = derive(password, started.master_key_salt, started.kdf)
        x = protocol.exponent_x(started.srp_salt, srp_secret)
        a = secrets.token_bytes(40)
        public_a = protocol.client_public(a)
        key = protocol.client_key(x, a, public_a, started.eph_public_b)
        kdf = started.kdf
        context = protocol.login_context(
            name_hash, started.srp_salt, started.master_key_salt,
            protocol.kdf_bytes(kdf.algorithm, kdf.memory_kib, kdf.iterations, kdf.parallelism),
            0, 0, 1, started.server_protocol)
        proof = protocol.client_proof(context, started.srp_salt, public_a, started.eph_public_b, key)
        try:
            answer = _public(channel, "session", "AuthenticateSession", contract["session"].AuthenticateSessionRequest(
                username_hash=name_hash, ephemeral_id=started.ephemeral_id, eph_public_a=public_a, client_proof_m1=proof))
        except PassmanagerError as error:
            if error.status == grpc.StatusCode.UNAUTHENTICATED:
                raise WrongCredentials(error.status, error.reasons) from None
            raise
        if not hmac.compare_digest(answer.server_proof_m2, protocol.server_proof(public_a, proof, key)):
            raise UntrustedServer("it does not know the verifier")
        self._channel, self._session_id, self._next = channel, answer.session_id, 0
        self._to_server, self._to_client = protocol.session_keys(key)
        result = contract["session"].AuthenticateSessionResult.FromString(unseal(
            self._to_client, answer.encrypted_result, protocol.frame("passmanager/v1 login result", self._session_id)))
        header = contract["vault"].VaultHeader.FromString(protocol.unpad(unseal_blob(
            master_key, result.encrypted_vault_header, protocol.frame("passmanager/v1 vault header")), 256))
        self._vault_key, self._may_write = header.vault_key, not header.required_features

    def call(self, service, rpc, payload):
        """One sealed call; raises PassmanagerError."""
        number, self._next = self._next, self._next + 1
        method = f"/passmanager.{service}.v1.{service.capitalize()}Service/{rpc}"

        def aad(kind):
            return protocol.frame(f"passmanager/v1 {kind}", method, self._session_id, protocol.u64(number))

        secure = contract["secure"].SecureRequest(
            session_id=self._session_id, request_number=number,
            encrypted_data=seal(self._to_server, payload.SerializeToString(), aad("request")))
        request = getattr(contract[service], f"{rpc}Request")(secure=secure)
        try:
            response = _unary(self._channel, service, rpc, request)
        except grpc.RpcError as error:
            raise PassmanagerError(error.code(), self._reasons(error, aad("failure"))) from None
        plaintext = unseal(self._to_client, response.secure.encrypted_data, aad("response"))
        return getattr(contract[service], f"{rpc}Result").FromString(plaintext)

    def _reasons(self, error, aad):
        """What the server sealed of a failure; None when it was the path's word."""
        detail = _detail(error)
        if detail is None:
            return None
        try:
            sealed = contract["secure"].SecureResponse.FromString(detail).encrypted_data
            return _reasons_of(contract["error"].Failure.FromString(unseal(self._to_client, sealed, aad)))
        except (InvalidTag, ValueError, DecodeError):
            return None

    def create(self, name, **fields):
        """Stores an entry; fields are those of EntryData. Returns its id."""
        if not self._may_write:
            raise NotImplementedError("the vault wants a newer client to be written")
        entry_id = str(uuid.uuid4())
        entry_name = contract["vault"].EntryName(name=name, kind=1, version=1)
        entry_data = contract["vault"].EntryData(version=1, **fields)
        self.call("data", "CreateEntry", contract["data"].CreateEntryPayload(
            entry_id=entry_id,
            entry_name=self._sealed(entry_name, 64, "name", entry_id),
            entry_data=self._sealed(entry_data, 256, "data", entry_id)))
        return entry_id

    def get(self, entry_id):
        """EntryName and EntryData of an entry."""
        entry = self.call("data", "GetEntry", contract["data"].GetEntryPayload(entry_id=entry_id))
        name = contract["vault"].EntryName.FromString(self._opened(entry.entry_name, 64, "name", entry_id))
        data = contract["vault"].EntryData.FromString(self._opened(entry.entry_data, 256, "data", entry_id))
        if name.version != data.version:
            raise UntrustedServer("it mixed versions")
        return name, data

    def names(self):
        """Names by entry id."""
        found, token = {}, ""
        while True:
            page = self.call("data", "ListEntries", contract["data"].ListEntriesPayload(page_token=token))
            for entry in page.entries:
                opened = self._opened(entry.entry_name, 64, "name", entry.entry_id)
                found[entry.entry_id] = contract["vault"].EntryName.FromString(opened).name
            token = page.next_page_token
            if not token:
                return found

    def log_out(self):
        """Ends this session."""
        self.call("session", "DeleteSession", contract["session"].DeleteSessionPayload(session_id=self._session_id))

    def _sealed(self, message, multiple, what, entry_id):
        return seal_blob(self._vault_key, protocol.pad(message.SerializeToString(), multiple),
                         protocol.frame(f"passmanager/v1 entry {what}", entry_id))

    def _opened(self, blob, multiple, what, entry_id):
        aad = protocol.frame(f"passmanager/v1 entry {what}", entry_id)
        return protocol.unpad(unseal_blob(self._vault_key, blob, aad), multiple)


def _field(message, wanted):
    """The bytes of a length-delimited field of a serialized message: enough to read google.rpc.Status and Any."""
    position = 0

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        tag = varint()
        if tag & 7 == 0:
            varint()
        else:
            length = varint()
            if tag >> 3 == wanted:
                return message[position:position + length]
            position += length
    return b""


def demonstrate(target):
    """A life of an account, from registering to deleting it."""
    name, secret = f"python-{os.getpid()}-{secrets.token_hex(4)}@example.com", "correct horse battery staple"
    with connect(target) as channel:
        register(channel, name, secret)
        vault = Vault(channel, name, secret)
        made = vault.create("Example Bank", website="https://bank.example", username="alice", password="jJ5!xQ0")
        print(vault.names()[made], vault.get(made)[1].password)
        try:
            vault.get(str(uuid.uuid4()))
        except PassmanagerError as error:
            print(error)
        vault.log_out()
        try:
            vault.names()
        except PassmanagerError as error:
            print(error.status.name)
        try:
            register(channel, name, secret)
        except PassmanagerError as error:
            print(error)
        try:
            Vault(channel, name, "not the password")
        except WrongCredentials as error:
            print(type(error).__name__, error)
        delete_account(channel, name, secret)
        try:
            Vault(channel, name, secret)
        except WrongCredentials as error:
            print(type(error).__name__, "once the account is gone")


if __name__ == "__main__":
    demonstrate(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
