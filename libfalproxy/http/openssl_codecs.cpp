#include "falproxy/openssl_codecs.hpp"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <limits>

namespace falproxy::inline v0 {
namespace {

// OpenSSL takes lengths as int. A multiple of 3 and of 4, so that blocks join without padding in
// between.
constexpr std::size_t block = std::size_t{12} << 20;

const unsigned char* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text, std::size_t at) noexcept {
  return reinterpret_cast<unsigned char*>(text.data() + at);
}

// Whole groups of four, '=' only as the last one or two.
bool has_form(std::string_view text) noexcept {
  if (text.size() % 4 != 0) return false;
  const std::size_t padding = text.find('=');
  return padding == std::string_view::npos || padding + 1 == text.size() ||
         (padding + 2 == text.size() && text.back() == '=');
}

}  // namespace

void OpensslCodecs::encode_base64(std::string_view bytes, std::string& out) const {
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, block);
    const std::size_t at = out.size();
    out.resize(at + (part.size() + 2) / 3 * 4);
    // The NUL that OpenSSL ends it with falls on the string's own.
    EVP_EncodeBlock(bytes_of(out, at), bytes_of(part), static_cast<int>(part.size()));
    bytes.remove_prefix(part.size());
  }
}

std::optional<std::string> OpensslCodecs::decode_base64(std::string_view text) const {
  if (!has_form(text)) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string out(text.size() / 4 * 3, '\0');
  std::size_t at = 0;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, block);
    const int written =
        EVP_DecodeBlock(bytes_of(out, at), bytes_of(part), static_cast<int>(part.size()));
    // Blanks at either end would be skipped, and make it less.
    const std::size_t expected = part.size() / 4 * 3;
    if (written < 0 || static_cast<std::size_t>(written) != expected) return std::nullopt;
    at += expected;
    text.remove_prefix(part.size());
  }
  out.resize(at - std::min(at, padding));
  return out;
}

Digest OpensslCodecs::sha256(std::string_view bytes) const {
  Digest digest{};
  static_assert(sizeof(digest) == SHA256_DIGEST_LENGTH);
  // SHA256() would look the algorithm up each time, which takes longer than a request's digest.
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, sha256, nullptr);
  return digest;
}

}  // namespace falproxy::inline v0
