#include "media_store/aws_signature.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/fmt.hpp"
#include "base/hex.hpp"
#include "base/text.hpp"
#include "falproxy/http.hpp"

namespace falproxy::app {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";

std::string hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

// "20130524T000000Z"
std::string time_text(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string scope_of(const AwsIdentity& identity, std::string_view time) {
  return fmt::format("{}/{}/{}/aws4_request", time.substr(0, 8), identity.region, identity.service);
}

// Names in small letters, sorted; values without blanks around them.
Pairs canonical_fields(const AwsRequest& request) {
  Pairs fields{{"host", request.host}};
  for (const auto& [name, value] : request.fields) fields.emplace_back(to_lower(name), trim(value));
  std::ranges::sort(fields);
  return fields;
}

std::string names_of(const Pairs& fields) {
  std::string names;
  for (const auto& [name, value] : fields) names.append(names.empty() ? "" : ";").append(name);
  return names;
}

std::string signature_of(const AwsRequest& request, const Pairs& fields,
                         const AwsIdentity& identity, std::string_view time) {
  std::string canonical =
      fmt::format("{}\n{}\n{}\n", request.method, request.path, aws_query(request.query));
  for (const auto& [name, value] : fields) canonical += fmt::format("{}:{}\n", name, value);
  canonical += fmt::format("\n{}\n{}", names_of(fields), request.payload);
  const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", algorithm, time,
                                          scope_of(identity, time), aws_payload(canonical));
  std::string key = hmac(fmt::format("AWS4{}", identity.secret.reveal()), time.substr(0, 8));
  for (const std::string_view part :
       {std::string_view(identity.region), std::string_view(identity.service),
        std::string_view("aws4_request")})
    key = hmac(key, part);
  return hex(hmac(key, to_sign));
}

}  // namespace

std::string aws_payload(std::string_view body) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(body.data(), body.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return hex(std::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

std::string aws_query(Pairs query) {
  for (auto& [name, value] : query) {
    name = percent_encode(name);
    value = percent_encode(value);
  }
  std::ranges::sort(query);
  std::string text;
  for (const auto& [name, value] : query)
    text += fmt::format("{}{}={}", text.empty() ? "" : "&", name, value);
  return text;
}

Pairs aws_signed_fields(AwsRequest request, const AwsIdentity& identity, WallTime now) {
  const std::string time = time_text(now);
  Pairs added{{"x-amz-date", time}};
  if (identity.service == "s3") added.emplace_back("x-amz-content-sha256", request.payload);
  if (!identity.session_token.empty())
    added.emplace_back("x-amz-security-token", identity.session_token.reveal());
  request.fields.insert(request.fields.end(), added.begin(), added.end());
  const Pairs fields = canonical_fields(request);
  added.emplace_back("Authorization",
                     fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", algorithm,
                                 identity.key_id, scope_of(identity, time), names_of(fields),
                                 signature_of(request, fields, identity, time)));
  return added;
}

std::string aws_presigned_target(AwsRequest request, const AwsIdentity& identity, WallTime now,
                                 Seconds lifetime) {
  const std::string time = time_text(now);
  const Pairs fields = canonical_fields(request);
  request.query.insert(
      request.query.end(),
      {{"X-Amz-Algorithm", std::string(algorithm)},
       {"X-Amz-Credential", fmt::format("{}/{}", identity.key_id, scope_of(identity, time))},
       {"X-Amz-Date", time},
       {"X-Amz-Expires", std::to_string(lifetime.count())},
       {"X-Amz-SignedHeaders", names_of(fields)}});
  if (!identity.session_token.empty())
    request.query.emplace_back("X-Amz-Security-Token", identity.session_token.reveal());
  const std::string signature = signature_of(request, fields, identity, time);
  return fmt::format("{}?{}&X-Amz-Signature={}", request.path, aws_query(request.query), signature);
}

}  // namespace falproxy::app
