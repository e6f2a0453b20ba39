#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <mutex>
#include <ostream>
#include <system_error>

#include "falproxy/client.hpp"

namespace falproxy::inline v0 {
namespace {

using Bytes = std::shared_ptr<const std::string>;

std::string reason() { return std::generic_category().message(errno); }

Content content_of(Bytes bytes) {
  const std::string_view file = *bytes;
  return {std::move(bytes), std::string(media::mime_type(file)), media::dimensions(file)};
}

}  // namespace

struct Artifact::State {
  const std::string address;
  const Fetch fetch;
  std::mutex mutex;  // also held while it is fetched: who asks meanwhile waits for that
  Bytes bytes;
};

Artifact Artifact::of(std::string bytes) {
  return Artifact(std::shared_ptr<State>(
      new State{{}, {}, {}, std::make_shared<const std::string>(std::move(bytes))}));
}

Artifact Artifact::at(std::string address, Fetch fetch) {
  return Artifact(
      std::shared_ptr<State>(new State{std::move(address), std::move(fetch), {}, nullptr}));
}

// Nothing is left of one that was moved away.
const std::string& Artifact::address() const noexcept {
  static const std::string none;
  return state_ == nullptr ? none : state_->address;
}

Result<Content> Artifact::content() const {
  if (state_ == nullptr) return Error{ErrorKind::invalid_value, "This Artifact was moved away."};
  const std::lock_guard lock(state_->mutex);
  if (state_->bytes == nullptr) {
    Result<Bytes> fetched = state_->fetch(state_->address);
    if (!fetched) return std::move(fetched).error();
    state_->bytes = *std::move(fetched);
  }
  return content_of(state_->bytes);
}

Result<Done> Artifact::save(const std::string& path) const {
  const Result<Content> content = this->content();
  if (!content) return content.error();
  std::ofstream file(path, std::ios::binary);
  if (file.is_open()) {
    file << *content->bytes;
    file.close();
    if (!file.fail()) return Done{};
  }
  Error error{ErrorKind::invalid_value, "'" + path + "' cannot be written: " + reason(), "path"};
  // Half a picture is of no use.
  if (file.is_open()) std::remove(path.c_str());
  return error;
}

// What came as bytes never changes; what stands at an address may be fetched meanwhile.
bool Artifact::operator==(const Artifact& other) const noexcept {
  if (state_ == other.state_) return true;
  return state_ != nullptr && other.state_ != nullptr && address() == other.address() &&
         (!address().empty() || *state_->bytes == *other.state_->bytes);
}

std::ostream& operator<<(std::ostream& out, const Artifact& artifact) {
  const std::string& address = artifact.address();
  if (!address.empty()) return out << address;
  if (artifact.state_ == nullptr) return out << "nothing";
  return out << std::to_string(artifact.state_->bytes->size()) << " bytes";
}

bool Content::operator==(const Content& other) const noexcept {
  return (bytes == other.bytes ||
          (bytes != nullptr && other.bytes != nullptr && *bytes == *other.bytes)) &&
         content_type == other.content_type && pixels == other.pixels;
}

InputFile picture_from_bytes(std::string bytes, std::string name) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return {.owner = owner, .bytes = *owner, .name = std::move(name)};
}

Result<InputFile> picture_from_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (file.is_open()) {
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (!file.bad()) return picture_from_bytes(std::move(bytes), path);
  }
  return Error{ErrorKind::unsupported_file, "'" + path + "' cannot be read: " + reason(), "images"};
}

}  // namespace falproxy::inline v0
