// A record as bytes: the version, the id, the digest, and then fields in any order, each a number
// (tag * 2 + kind) and a value: a number, or a length and so many bytes. Numbers are those of
// protobuf (7 bits a byte, the lowest first). What is empty is left out, and what is not known is
// passed over.
#include <bit>
#include <chrono>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr char version = 1;

using Nanoseconds = std::chrono::nanoseconds;

// Never given to another meaning, as records live longer than a version of falproxy.
enum class Tag : std::uint64_t {
  fence = 1,
  state,
  owner,
  key_hash,
  promised,
  surface,
  requested_model,
  served_model,
  created,
  changed,
  expires,
  chance,
  prompt,
  job,
  artifact,
  fault_kind,
  fault_message,
  details,
  untold,
  user,
  holder,
};

enum class JobTag : std::uint64_t {
  state = 1,
  endpoint,
  request_id,
  account,
  status_url,
  response_url,
  cancel_url,
  submitted,
  expected_units,
  billable_units,
  fault_kind,
  fault_message,
  held = 32,
  held_on,
  cost,
  input_mark,
};

enum class ArtifactTag : std::uint64_t {
  url = 1,
  content_type,
  size,
  width,
  height,
  seconds,
  thumbnail,
  job
};

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  template <class T>
  void number(T tag, std::uint64_t value) {
    put(static_cast<std::uint64_t>(tag) * 2);
    put(value);
  }
  template <class T, class N>
  void number(T tag, const std::optional<N>& value) {
    if (value) number(tag, static_cast<std::uint64_t>(*value));
  }
  template <class T>
  void bytes(T tag, std::string_view value) {
    put(static_cast<std::uint64_t>(tag) * 2 + 1);
    put(value.size());
    out_.append(value);
  }
  template <class T>
  void text(T tag, std::string_view value) {
    if (!value.empty()) bytes(tag, value);
  }
  template <class T>
  void real(T tag, const std::optional<double>& value) {
    if (!value) return;
    const auto bits = std::bit_cast<std::uint64_t>(*value);
    char raw[8];
    for (std::size_t i = 0; i < sizeof raw; ++i) raw[i] = static_cast<char>(bits >> (8 * i));
    bytes(tag, {raw, sizeof raw});
  }
  template <class T>
  void digest(T tag, const Digest& value) {
    bytes(tag, {reinterpret_cast<const char*>(value.data()), value.size()});
  }
  template <class T>
  void time(T tag, WallTime value) {
    number(tag, static_cast<std::uint64_t>(
                    std::chrono::duration_cast<Nanoseconds>(value.time_since_epoch()).count()));
  }
  template <class T>
  void fault(T kind, T message, const std::optional<RunFault>& value) {
    if (!value) return;
    bytes(kind, name_of(value->kind));
    text(message, value->message);
  }

 private:
  void put(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }

  std::string& out_;
};

// One field at a time. What is broken ends it, and `whole` is false from then on.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool next() {
    if (rest_.empty() || !whole) return false;
    const std::uint64_t head = take_number();
    tag_ = head / 2;
    bytes = {};
    number = take_number();
    if (head % 2 == 1) {
      if (number > rest_.size()) whole = false;
      if (!whole) return false;
      bytes = rest_.substr(0, number);
      rest_.remove_prefix(number);
    }
    return whole;
  }
  template <class T>
  [[nodiscard]] T tag() const {
    return static_cast<T>(tag_);
  }

  [[nodiscard]] RunState state() {
    if (number <= static_cast<std::uint64_t>(RunState::cancelled))
      return static_cast<RunState>(number);
    whole = false;
    return RunState::failed;
  }
  [[nodiscard]] double real() {
    if (bytes.size() != 8) whole = false;
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < bytes.size() && i < 8; ++i)
      bits |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return std::bit_cast<double>(bits);
  }
  [[nodiscard]] Digest digest() {
    Digest digest{};
    if (bytes.size() != digest.size()) whole = false;
    for (std::size_t i = 0; i < bytes.size() && i < digest.size(); ++i)
      digest[i] = static_cast<std::uint8_t>(bytes[i]);
    return digest;
  }
  [[nodiscard]] RunId id() {
    RunId id;
    if (bytes.size() != id.bytes.size()) whole = false;
    for (std::size_t i = 0; i < bytes.size() && i < id.bytes.size(); ++i)
      id.bytes[i] = static_cast<std::uint8_t>(bytes[i]);
    return id;
  }
  [[nodiscard]] WallTime time() {
    if (number > static_cast<std::uint64_t>(std::numeric_limits<Nanoseconds::rep>::max()))
      whole = false;
    return WallTime(std::chrono::duration_cast<WallTime::duration>(
        Nanoseconds(static_cast<Nanoseconds::rep>(number))));
  }
  // A newer version may know kinds that this one does not.
  [[nodiscard]] ErrorKind kind() const {
    for (int i = 0; i <= static_cast<int>(ErrorKind::internal); ++i) {
      if (name_of(static_cast<ErrorKind>(i)) == bytes) return static_cast<ErrorKind>(i);
    }
    return ErrorKind::internal;
  }

  std::uint64_t number = 0;  // the value; if that is bytes, their length
  std::string_view bytes = {};
  bool whole = true;

 private:
  std::uint64_t take_number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    whole = false;
    return 0;
  }

  std::string_view rest_;
  std::uint64_t tag_ = 0;
};

std::string packed(const RunJob& job) {
  std::string bytes;
  Writer out(bytes);
  out.number(JobTag::state, static_cast<std::uint64_t>(job.state));
  out.text(JobTag::endpoint, job.endpoint);
  out.text(JobTag::request_id, job.request_id);
  out.text(JobTag::account, job.account);
  out.text(JobTag::status_url, job.status_url);
  out.text(JobTag::response_url, job.response_url);
  out.text(JobTag::cancel_url, job.cancel_url);
  if (job.submitted != WallTime()) out.time(JobTag::submitted, job.submitted);
  out.real(JobTag::expected_units, job.expected_units);
  out.real(JobTag::billable_units, job.billable_units);
  out.fault(JobTag::fault_kind, JobTag::fault_message, job.fault);
  if (job.held) {
    out.number(JobTag::held, static_cast<std::uint64_t>(job.held->nano));
    out.number(JobTag::held_on, static_cast<std::uint64_t>(job.held_on));
  }
  if (job.cost) out.number(JobTag::cost, static_cast<std::uint64_t>(job.cost->nano));
  if (job.input_mark != 0) out.number(JobTag::input_mark, job.input_mark);
  return bytes;
}

std::string packed(const RunArtifact& artifact) {
  std::string bytes;
  Writer out(bytes);
  out.text(ArtifactTag::url, artifact.url);
  out.text(ArtifactTag::content_type, artifact.content_type);
  out.number(ArtifactTag::size, artifact.size);
  out.number(ArtifactTag::width, artifact.width);
  out.number(ArtifactTag::height, artifact.height);
  out.real(ArtifactTag::seconds, artifact.seconds);
  out.text(ArtifactTag::thumbnail, artifact.thumbnail);
  out.number(ArtifactTag::job, artifact.job);
  return bytes;
}

// Fields of a fault may come in either order.
RunFault& made(std::optional<RunFault>& fault) { return fault ? *fault : fault.emplace(); }

RunJob read_job(Reader& outer) {
  RunJob job;
  Reader in(outer.bytes);
  while (in.next()) {
    switch (in.tag<JobTag>()) {
      case JobTag::state:
        job.state = in.state();
        break;
      case JobTag::endpoint:
        job.endpoint = in.bytes;
        break;
      case JobTag::request_id:
        job.request_id = in.bytes;
        break;
      case JobTag::account:
        job.account = in.bytes;
        break;
      case JobTag::status_url:
        job.status_url = in.bytes;
        break;
      case JobTag::response_url:
        job.response_url = in.bytes;
        break;
      case JobTag::cancel_url:
        job.cancel_url = in.bytes;
        break;
      case JobTag::submitted:
        job.submitted = in.time();
        break;
      case JobTag::expected_units:
        job.expected_units = in.real();
        break;
      case JobTag::billable_units:
        job.billable_units = in.real();
        break;
      case JobTag::fault_kind:
        made(job.fault).kind = in.kind();
        break;
      case JobTag::fault_message:
        made(job.fault).message = in.bytes;
        break;
      case JobTag::held:
        job.held = Usd{static_cast<std::int64_t>(in.number)};
        break;
      case JobTag::held_on:
        job.held_on = static_cast<Day>(in.number);
        break;
      case JobTag::cost:
        job.cost = Usd{static_cast<std::int64_t>(in.number)};
        break;
      case JobTag::input_mark:
        job.input_mark = in.number;
        break;
    }
  }
  outer.whole = outer.whole && in.whole;
  return job;
}

RunArtifact read_artifact(Reader& outer) {
  RunArtifact artifact;
  Reader in(outer.bytes);
  while (in.next()) {
    switch (in.tag<ArtifactTag>()) {
      case ArtifactTag::url:
        artifact.url = in.bytes;
        break;
      case ArtifactTag::content_type:
        artifact.content_type = in.bytes;
        break;
      case ArtifactTag::size:
        artifact.size = in.number;
        break;
      case ArtifactTag::width:
        artifact.width = static_cast<std::uint32_t>(in.number);
        break;
      case ArtifactTag::height:
        artifact.height = static_cast<std::uint32_t>(in.number);
        break;
      case ArtifactTag::seconds:
        artifact.seconds = in.real();
        break;
      case ArtifactTag::thumbnail:
        artifact.thumbnail = in.bytes;
        break;
      case ArtifactTag::job:
        artifact.job = static_cast<std::uint32_t>(in.number);
        break;
    }
  }
  outer.whole = outer.whole && in.whole;
  return artifact;
}

bool is_kept(WallTime time) {
  // Of what a signed 64-bit number of nanoseconds can say; WallTime's own range may be wider.
  constexpr auto last = std::chrono::duration_cast<std::chrono::seconds>(Nanoseconds::max());
  const auto since = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  return since.count() >= 0 && since < last;
}

// What is wrong with `record`; empty: nothing.
std::string_view defect_of(const RunRecord& record) {
  if (record.id == RunId()) return "no id";
  if (record.owner.empty()) return "no owner";
  if (record.fence == 0 || record.fence > std::numeric_limits<std::int64_t>::max())
    return "a fence that is not 1 to 2^63 - 1";
  for (const WallTime time : {record.created, record.changed, record.expires}) {
    if (!is_kept(time)) return "a time before 1970 or after 2262";
  }
  for (const RunJob& job : record.jobs) {
    if (!is_kept(job.submitted)) return "a job with a time before 1970 or after 2262";
  }
  return {};
}

StoreError too_large(const RunRecord& record, std::string_view what, std::size_t limit) {
  return {StoreFault::too_large,
          fmt::format("{} of run {} take more than {} bytes.", what, record.id.to_string(), limit)};
}

}  // namespace

Result<std::string, StoreError> pack(const RunRecord& record) {
  if (const std::string_view defect = defect_of(record); !defect.empty())
    return StoreError{StoreFault::invalid, fmt::format("The record of a run has {}.", defect)};
  std::string bytes;
  bytes.reserve(512);
  bytes += version;
  bytes.append(reinterpret_cast<const char*>(record.id.bytes.data()), record.id.bytes.size());
  bytes.append(reinterpret_cast<const char*>(record.digest.data()), record.digest.size());
  Writer out(bytes);
  out.number(Tag::fence, record.fence);
  out.number(Tag::state, static_cast<std::uint64_t>(record.state));
  out.text(Tag::owner, record.owner);
  if (record.key_hash) out.digest(Tag::key_hash, *record.key_hash);
  if (record.promised) out.number(Tag::promised, 1U);
  out.text(Tag::surface, record.surface);
  out.text(Tag::requested_model, record.requested_model);
  out.text(Tag::served_model, record.served_model);
  out.time(Tag::created, record.created);
  out.time(Tag::changed, record.changed);
  out.time(Tag::expires, record.expires);
  out.real(Tag::chance, record.chance);
  if (record.prompt) out.bytes(Tag::prompt, *record.prompt);
  for (const RunJob& job : record.jobs) out.bytes(Tag::job, packed(job));
  const std::size_t before = bytes.size();
  for (const RunArtifact& artifact : record.artifacts) out.bytes(Tag::artifact, packed(artifact));
  if (bytes.size() - before > max_artifact_bytes)
    return too_large(record, "The artifacts", max_artifact_bytes);
  out.fault(Tag::fault_kind, Tag::fault_message, record.fault);
  out.text(Tag::details, record.details);
  if (record.is_untold) out.number(Tag::untold, 1U);
  out.text(Tag::user, record.user);
  if (record.holder != RunId()) {
    out.bytes(Tag::holder, {reinterpret_cast<const char*>(record.holder.bytes.data()),
                            record.holder.bytes.size()});
  }
  if (bytes.size() > max_record_bytes) return too_large(record, "The words", max_record_bytes);
  return bytes;
}

Result<RunRecord, StoreError> unpack(std::string_view bytes) {
  RunRecord record;
  const std::size_t head = 1 + record.id.bytes.size() + record.digest.size();
  if (bytes.size() < head || bytes.size() > max_record_bytes || bytes.front() != version)
    return StoreError{StoreFault::damaged, "The stored bytes are no record of a run."};
  for (std::size_t i = 0; i < record.id.bytes.size(); ++i)
    record.id.bytes[i] = static_cast<std::uint8_t>(bytes[1 + i]);
  for (std::size_t i = 0; i < record.digest.size(); ++i)
    record.digest[i] = static_cast<std::uint8_t>(bytes[1 + record.id.bytes.size() + i]);
  Reader in(bytes.substr(head));
  while (in.next()) {
    switch (in.tag<Tag>()) {
      case Tag::fence:
        record.fence = in.number;
        break;
      case Tag::state:
        record.state = in.state();
        break;
      case Tag::owner:
        record.owner = in.bytes;
        break;
      case Tag::key_hash:
        record.key_hash = in.digest();
        break;
      case Tag::promised:
        record.promised = in.number != 0;
        break;
      case Tag::surface:
        record.surface = in.bytes;
        break;
      case Tag::requested_model:
        record.requested_model = in.bytes;
        break;
      case Tag::served_model:
        record.served_model = in.bytes;
        break;
      case Tag::created:
        record.created = in.time();
        break;
      case Tag::changed:
        record.changed = in.time();
        break;
      case Tag::expires:
        record.expires = in.time();
        break;
      case Tag::chance:
        record.chance = in.real();
        break;
      case Tag::prompt:
        record.prompt = in.bytes;
        break;
      case Tag::job:
        record.jobs.push_back(read_job(in));
        break;
      case Tag::artifact:
        record.artifacts.push_back(read_artifact(in));
        break;
      case Tag::fault_kind:
        made(record.fault).kind = in.kind();
        break;
      case Tag::fault_message:
        made(record.fault).message = in.bytes;
        break;
      case Tag::details:
        record.details = in.bytes;
        break;
      case Tag::user:
        record.user = in.bytes;
        break;
      case Tag::holder:
        record.holder = in.id();
        break;
      case Tag::untold:
        record.is_untold = in.number != 0;
        break;
    }
  }
  if (!in.whole || !defect_of(record).empty())
    return StoreError{StoreFault::damaged,
                      fmt::format("The stored record of run {} is broken.", record.id.to_string())};
  return record;
}

}  // namespace falproxy::inline v0
