import { Menu, Text, UnstyledButton, useMantineColorScheme } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconDeviceDesktop, IconDots, IconKey, IconLogout, IconMoon, IconSun } from '@tabler/icons-react';
import { UserKeyDialog } from './UserKeyDialog';
import { useMe } from './useProject';
import { useSignOut } from './useSignOut';

const SCHEMES = [
  { value: 'light', label: 'Light', icon: IconSun },
  { value: 'dark', label: 'Dark', icon: IconMoon },
  { value: 'auto', label: 'As the system', icon: IconDeviceDesktop },
] as const;

/** Who is signed in, how it looks, and the way out. */
export function AccountMenu() {
  const me = useMe();
  const signOut = useSignOut();
  const [renewing, dialog] = useDisclosure(false);
  const name = me.user?.name ?? `Key ${me.key}`;
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <>
      <Menu width={248} position="top-start" shadow="md">
        <Menu.Target>
          <UnstyledButton
            w="100%"
            p={6}
            style={{ display: 'flex', alignItems: 'center', gap: 10 }}
            aria-label={`${name}, account`}
          >
            <IconKey size={18} stroke={1.7} />
            <Text size="sm" flex={1} className="truncate">
              {name}
            </Text>
            <IconDots size={16} />
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{me.user ? me.user.email : `Signed in with key ${me.key}`}</Menu.Label>
          {SCHEMES.map(({ value, label, icon: Icon }) => (
            <Menu.Item
              key={value}
              leftSection={<Icon size={16} />}
              onClick={() => setColorScheme(value)}
              aria-current={colorScheme === value}
              fw={colorScheme === value ? 600 : undefined}
            >
              {label}
            </Menu.Item>
          ))}
          <Menu.Divider />
          {me.user && (
            <Menu.Item leftSection={<IconKey size={16} />} onClick={dialog.open}>
              New API key of mine
            </Menu.Item>
          )}
          <Menu.Item leftSection={<IconLogout size={16} />} onClick={signOut}>
            Sign out
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {me.user && renewing && <UserKeyDialog user={me.user} onClose={dialog.close} />}
    </>
  );
}
