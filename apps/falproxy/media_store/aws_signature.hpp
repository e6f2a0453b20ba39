// aws_signature.hpp: AWS Signature Version 4, by OpenSSL's primitives.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/secret.hpp"

namespace falproxy::app {

/// Whose requests they are, and for what.
struct AwsIdentity {
  std::string key_id = {};
  Secret secret = {};
  Secret session_token = {};  ///< empty: none
  std::string region = "us-east-1";
  std::string service = "s3";
};

/// What is signed of a request. Names and values as they are sent; `path` is encoded already.
struct AwsRequest {
  std::string method = "GET";
  std::string host = {};  ///< with its port, if it is not the scheme's own
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> query = {};   ///< not encoded
  std::vector<std::pair<std::string, std::string>> fields = {};  ///< without Host
  /// Hexadecimal SHA-256 of the body, or "UNSIGNED-PAYLOAD".
  std::string payload = "UNSIGNED-PAYLOAD";
};

inline constexpr std::string_view empty_payload =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The fields to be added: x-amz-date, x-amz-content-sha256 (S3 alone), perhaps
/// x-amz-security-token, and Authorization.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> aws_signed_fields(
    AwsRequest request, const AwsIdentity& identity, WallTime now);

/// Path and query that open the request for `lifetime` without any field.
[[nodiscard]] std::string aws_presigned_target(AwsRequest request, const AwsIdentity& identity,
                                               WallTime now, Seconds lifetime);

/// "a=b&c=d", encoded and in the order that is signed.
[[nodiscard]] std::string aws_query(std::vector<std::pair<std::string, std::string>> query);

/// Hexadecimal SHA-256.
[[nodiscard]] std::string aws_payload(std::string_view body);

}  // namespace falproxy::app
