//! The native method of `org.httpkit.engine.NativeLibrary`: which version of the project this library was built from.

use jni::EnvUnowned;
use jni::objects::{JClass, JString};

use crate::errors::{Failure, ThrowException};

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_NativeLibrary_version<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
) -> JString<'local> {
    env.with_env(|env| Ok::<_, Failure>(env.new_string(env!("CARGO_PKG_VERSION"))?)).resolve::<ThrowException>()
}
