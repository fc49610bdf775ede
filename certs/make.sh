#!/usr/bin/env bash
# Makes everything in this directory anew, except README.md and this script: the test CA, its certificates, the
# PKCS#12 and PEM files, and the registered keys. Needs bash, od and the openssl command line (3.0 or newer, with
# its legacy provider); keytool, where there is one, makes keytool.p12. The CA's own keys are thrown away at the end.
set -euo pipefail
umask 077

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

password='Portvakt-test-1'
from=20250101000000Z
until=20550101000000Z
orgno=991825827

# ------------------------------------------------------------------------------------------------ certificates

cat > ca.cnf <<'CNF'
[req]
distinguished_name = dn
prompt = no
[dn]
CN = replaced by -subj
[ca]
default_ca = portvakt
[portvakt]
new_certs_dir = .
database = index.txt
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
email_in_dn = no
[any]
countryName = optional
organizationName = optional
organizationalUnitName = optional
organizationIdentifier = optional
serialNumber = optional
commonName = supplied
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[issuing]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[authentication]
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth, emailProtection
[seal]
keyUsage = critical, nonRepudiation
[signing]
keyUsage = critical, digitalSignature, nonRepudiation
[encryption]
keyUsage = critical, keyEncipherment, dataEncipherment
[leaf]
basicConstraints = critical, CA:false
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CNF
: > index.txt

rsa() { openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1.key" 2> rsa.log || openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1.key" 2> rsa.log; }

# issue NAME ISSUER SUBJECT EXTENSIONS [FROM UNTIL]: NAME.key must be there; makes NAME.crt.
issue() {
    local name=$1 issuer=$2 subject=$3 extensions=$4
    cp ca.cnf now.cnf
    case $extensions in
    root | issuing) ;;
    *) printf '[now]\n%s\n%s\n' "$(sed -n '/^\[leaf\]/,/^\[/{/^\[/!p}' ca.cnf)" "$(sed -n "/^\[$extensions\]/,/^\[/{/^\[/!p}" ca.cnf)" >> now.cnf; extensions=now ;;
    esac
    openssl req -new -config now.cnf -key "$name.key" -subj "$subject" -utf8 -out "$name.csr"
    local by=(-cert "$issuer.crt" -keyfile "$issuer.key")
    [ "$name" = "$issuer" ] && by=(-selfsign -keyfile "$name.key")
    openssl ca -batch -notext -utf8 -preserveDN -config now.cnf -extensions "$extensions" "${by[@]}" \
        -startdate "${5:-$from}" -enddate "${6:-$until}" -in "$name.csr" -out "$name.crt" 2> ca.log || { cat ca.log >&2; exit 1; }
}

maker='/C=NO/O=Portvakt test data'
for ca in root issuing issuing-old issuing-commfides; do rsa $ca 2048; done
issue root root "$maker/CN=Buypass Class 3 Test4 Root CA G2 ST (Portvakt)" root
issue issuing root "$maker/organizationIdentifier=NTRNO-983163327/CN=Buypass Class 3 Test4 CA G2 ST Business" issuing
issue issuing-old root "$maker/CN=Buypass Class 3 Test4 CA 3" issuing
issue issuing-commfides root "$maker/organizationIdentifier=NTRNO-988312495/CN=Commfides Legal Person - G3 - TEST" issuing

new_form="/C=NO/O=DIGITALISERINGSDIREKTORATET/organizationIdentifier=NTRNO-$orgno/CN=DIGITALISERINGSDIREKTORATET"
old_form="/C=NO/O=DIGITALISERINGSDIREKTORATET/serialNumber=$orgno/CN=DIGITALISERINGSDIREKTORATET"
for name in virksomhet seal encryption old-form commfides other-organisation expired not-yet-valid; do rsa $name 2048; done
rsa rsa-1024 1024
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.key

issue virksomhet issuing "$new_form" authentication
issue seal issuing "$new_form" seal
issue encryption issuing "$new_form" encryption
issue old-form issuing-old "$old_form" signing
issue commfides issuing-commfides "$new_form" signing
issue other-organisation issuing "/C=NO/O=PRØVEDRIFT ÆØÅ AS/organizationIdentifier=NTRNO-889640782/CN=PRØVEDRIFT ÆØÅ AS" authentication
issue expired issuing "$new_form" authentication 20200101000000Z 20230101000000Z
issue not-yet-valid issuing "$new_form" authentication 20520101000000Z 20550101000000Z
issue rsa-1024 issuing "$new_form" authentication
issue ec issuing "$new_form" authentication

# ----------------------------------------------------------------------------------------------------- PKCS#12

today=()
legacy=(-legacy)
chain=(root.crt issuing.crt)
cat "${chain[@]}" > chain.crt

# p12 NAME PASSWORD OPTION…: NAME.p12 by the openssl command line.
p12() { local name=$1 secret=$2; shift 2; openssl pkcs12 -export -out "$name.p12" -passout "pass:$secret" "$@"; }

p12 virksomhet "$password" -inkey virksomhet.key -in virksomhet.crt -certfile chain.crt -name virksomhet "${today[@]}"
p12 virksomhet-legacy "$password" -inkey virksomhet.key -in virksomhet.crt -certfile chain.crt -name virksomhet "${legacy[@]}"
p12 old-form "$password" -inkey old-form.key -in old-form.crt -certfile issuing-old.crt
p12 commfides "$password" -inkey commfides.key -in commfides.crt -certfile issuing-commfides.crt
p12 empty-password '' -inkey virksomhet.key -in virksomhet.crt -certfile chain.crt
p12 empty-password-legacy '' -inkey virksomhet.key -in virksomhet.crt -certfile chain.crt "${legacy[@]}"
p12 no-mac "$password" -inkey virksomhet.key -in virksomhet.crt -certfile chain.crt -nomac
p12 no-encryption "$password" -inkey virksomhet.key -in virksomhet.crt -certfile chain.crt -certpbe NONE -keypbe NONE
p12 no-key "$password" -nokeys -in virksomhet.crt -certfile chain.crt
p12 no-certificate "$password" -nocerts -inkey virksomhet.key
p12 encryption-only "$password" -inkey encryption.key -in encryption.crt -certfile chain.crt
for name in other-organisation expired not-yet-valid rsa-1024 ec; do
    p12 $name "$password" -inkey $name.key -in $name.crt -certfile issuing.crt
done

# The openssl command line puts one key into a file. Several: the ContentInfos of several files with one password
# are put into one AuthenticatedSafe (RFC 7292 section 4), and a new MAC over it (appendix B) is added.
hex() { od -An -v -tx1 "$1" | tr -d ' \n'; }
length() {
    local n=$1
    if ((n < 128)); then printf '%02x' "$n"; elif ((n < 256)); then printf '81%02x' "$n"; else printf '82%04x' "$n"; fi
}
der() { printf '%s%s%s' "$1" "$(length $((${#2} / 2)))" "$2"; }
unwrap() { # the content of the outermost DER value
    local first=$((16#${1:2:2}))
    if ((first < 128)); then printf '%s' "${1:4}"; else printf '%s' "${1:4 + 2 * (first - 128)}"; fi
}
oid_data=06092a864886f70d010701
# splice NAME DIGEST PART…: NAME.p12 out of PART.p12…
splice() {
    local name=$1 digest=$2 infos='' part at
    shift 2
    for part in "$@"; do
        at=$(openssl asn1parse -inform DER -in "$part.p12" | awk -F: '/OCTET STRING/ { print $1 + 0; exit }')
        openssl asn1parse -inform DER -in "$part.p12" -strparse "$at" -noout -out part.der
        infos+=$(unwrap "$(hex part.der)")
    done
    local safe salt key mac algorithm i secret='' bytes
    safe=$(der 30 "$infos")
    salt=$(openssl rand -hex 8)
    for ((i = 0; i < ${#password}; i++)); do secret+=$(printf '00%02x' "'${password:i:1}"); done
    case $digest in
    sha1) bytes=20 algorithm=300906052b0e03021a0500 ;;
    sha256) bytes=32 algorithm=300d06096086480165030402010500 ;;
    esac
    key=$(openssl kdf -keylen $bytes -kdfopt "digest:$digest" -kdfopt "hexpass:${secret}0000" -kdfopt "hexsalt:$salt" \
        -kdfopt iter:2048 -kdfopt id:3 PKCS12KDF | tr -d ':\n')
    printf '%b' "$(sed 's/../\\x&/g' <<< "$safe")" > safe.der
    mac=$(openssl dgst "-$digest" -mac HMAC -macopt "hexkey:$key" -r safe.der | cut -d' ' -f1)
    local mac_data content
    mac_data=$(der 30 "$(der 30 "$algorithm$(der 04 "$mac")")$(der 04 "$salt")02020800")
    content=$(der 30 "$oid_data$(der a0 "$(der 04 "$safe")")")
    printf '%b' "$(sed 's/../\\x&/g' <<< "$(der 30 "020103$content$mac_data")")" > "$name.p12"
    openssl pkcs12 -legacy -in "$name.p12" -passin "pass:$password" -noenc -out check.pem # the MAC and all bags are good
}

for form in today legacy; do
    declare -n options=$form
    p12 part-encryption "$password" -inkey encryption.key -in encryption.crt -name encryption "${options[@]}"
    p12 part-seal "$password" -inkey seal.key -in seal.crt -name seal "${options[@]}"
    p12 part-authentication "$password" -inkey virksomhet.key -in virksomhet.crt -certfile chain.crt -name authentication "${options[@]}"
    case $form in
    today) splice pairs sha256 part-encryption part-seal part-authentication ;;
    legacy) splice pairs-legacy sha1 part-encryption part-seal part-authentication ;;
    esac
done
p12 part-key "$password" -nocerts -inkey seal.key
splice wrong-key sha256 no-key part-key

if command -v keytool > /dev/null; then
    for name in encryption seal virksomhet; do
        p12 "part-$name" "$password" -inkey $name.key -in $name.crt -certfile chain.crt -name $name
        keytool -importkeystore -noprompt -srckeystore "part-$name.p12" -srcstoretype PKCS12 -srcstorepass "$password" \
            -destkeystore keytool.p12 -deststoretype PKCS12 -deststorepass "$password" 2> keytool.log || { cat keytool.log >&2; exit 1; }
    done
else
    echo 'keytool is not here: keytool.p12 stays as it was' >&2
fi

# --------------------------------------------------------------------------------------------------------- PEM

cat virksomhet.crt issuing.crt > virksomhet.pem
cat root.crt issuing.crt virksomhet.crt > virksomhet-scrambled.pem
cat virksomhet.key issuing.crt virksomhet.crt > virksomhet-with-key.pem
openssl pkey -in virksomhet.key -traditional -out virksomhet-pkcs1.key
openssl pkcs8 -topk8 -v2 aes-256-cbc -in virksomhet.key -passout "pass:$password" -out virksomhet-encrypted.key
openssl rsa -aes256 -traditional -in virksomhet.key -passout "pass:$password" -out virksomhet-encrypted-pkcs1.key 2> rsa.log
for name in old-form commfides other-organisation expired not-yet-valid rsa-1024 ec seal encryption; do cp $name.crt $name.pem; done
for name in root issuing issuing-old issuing-commfides; do cp $name.crt $name.pem; done
cat root.crt issuing.crt issuing-old.crt issuing-commfides.crt > ca.pem

# --------------------------------------------------------------------------------------------- registered keys

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
# number KEY FIELD: one of the numbers of `openssl rsa -text`, base64url-encoded, as a JWK has it (RFC 7518 section 6.3).
number() {
    local digits
    digits=$(openssl rsa -in "$1" -noout -text | awk -v field="$2:" '$1 == field { on = 1; next } /^[^ ]/ { on = 0 } on' | tr -d ' :\n')
    while [ "${digits:0:2}" = 00 ]; do digits=${digits:2}; done
    printf '%b' "$(sed 's/../\\x&/g' <<< "$digits")" | base64url
}
for bits in 2048 4096; do
    name=registered-$bits kid=portvakt-test-$bits
    rsa $name $bits
    mv $name.key $name.pem
    printf '%s\n' "$kid" > $name.kid
    openssl pkcs8 -topk8 -v2 aes-256-cbc -in $name.pem -passout "pass:$password" -out $name.encrypted.pem
    openssl pkey -in $name.pem -traditional -out $name.pkcs1.pem
    openssl pkey -in $name.pem -pubout -out $name.public.pem
    public=$(printf '"kty":"RSA","e":"AQAB","use":"sig","kid":"%s","alg":"RS256","n":"%s"' "$kid" "$(number $name.pem modulus)")
    printf '{%s}\n' "$public" > $name.public.jwk
    printf '{%s,"d":"%s","p":"%s","q":"%s","dp":"%s","dq":"%s","qi":"%s"}\n' "$public" "$(number $name.pem privateExponent)" \
        "$(number $name.pem prime1)" "$(number $name.pem prime2)" "$(number $name.pem exponent1)" "$(number $name.pem exponent2)" \
        "$(number $name.pem coefficient)" > $name.private.jwk
done

# -------------------------------------------------------------------------------------------- into their places

printf '%s\n' "$password" > virksomhet.p12.password
rm -f part-*.p12 root.key issuing*.key ./*.csr chain.crt check.pem [0-9A-F]*.pem
find . -maxdepth 1 \( -name '*.p12' -o -name '*.pem' -o -name '*.key' -o -name '*.kid' -o -name '*.jwk' -o -name '*.password' \) -exec cp {} "$here/" \;
cd "$here"
chmod 600 ./*.p12 ./*.key ./*.password ./*.private.jwk registered-*.pem virksomhet-with-key.pem
chmod 644 ./*.kid ./*.public.jwk ./*.public.pem ca.pem root.pem issuing*.pem
openssl verify -CAfile root.pem -untrusted issuing.pem virksomhet.pem
