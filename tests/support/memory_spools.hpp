// memory_spools.hpp: a place for long files that is in memory, and has as much room as it is told.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "falproxy/body_source.hpp"
#include "falproxy/plain_codecs.hpp"

namespace falproxy::tests {

class TextSource final : public BodySource {
 public:
  /// `readable`: what can be read of it, in bytes.
  explicit TextSource(std::string text, std::size_t readable = SIZE_MAX)
      : text_(std::move(text)), readable_(readable) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return text_.size(); }
  [[nodiscard]] std::string read(std::uint64_t from, std::size_t most) const override {
    if (from >= readable_) return {};
    return text_.substr(from, std::min(most, readable_ - static_cast<std::size_t>(from)));
  }
  [[nodiscard]] Digest sha256() const noexcept override { return PlainCodecs().sha256(text_); }

 private:
  const std::string text_;
  const std::size_t readable_;
};

class MemorySpools final : public SpoolPlace {
 public:
  std::size_t room = SIZE_MAX;
  int begun = 0;
  bool is_there = true;

  [[nodiscard]] std::unique_ptr<Spool> begin() override {
    if (!is_there) return nullptr;
    ++begun;
    return std::make_unique<TextSpool>(room);
  }

 private:
  class TextSpool final : public Spool {
   public:
    explicit TextSpool(std::size_t room) : room_(room) {}
    [[nodiscard]] Result<Done> append(std::string_view bytes) override {
      if (text_.size() + bytes.size() > room_) return Error{ErrorKind::overloaded, "full"};
      text_ += bytes;
      return Done{};
    }
    [[nodiscard]] Result<std::shared_ptr<const BodySource>> finish() override {
      return std::shared_ptr<const BodySource>(std::make_shared<TextSource>(std::move(text_)));
    }

   private:
    const std::size_t room_;
    std::string text_;
  };
};

}  // namespace falproxy::tests
