/*
 * A driver for virtio devices that does what the input says: it gets a device to work, and then
 * gives it descriptors that no honest driver would.
 */
#ifndef JOS_USER_VMM_HOST_DRIVER_H
#define JOS_USER_VMM_HOST_DRIVER_H

#include <user/vmm/host/bed.h>
#include <user/vmm/host/target.h>

/* Where it has the rings: for each queue descriptors, and pages with the available and with the
 * used ring. */
#define DRIVER_AREAS      0x10000ul
#define DRIVER_AREA_SIZE  0x4000ul
#define DRIVER_AREAS_SIZE (BED_VIRTIO * VIRTIO_QUEUES * DRIVER_AREA_SIZE)

/* Reset a device and bring it to life, with features and ring sizes of the input. */
void driver_start(struct Bed *b, struct Input *in);
/* Write a descriptor, with any address, length, flags and next one. */
void driver_describe(struct Bed *b, struct Input *in);
/* Offer chains in an available ring. */
void driver_offer(struct Bed *b, struct Input *in);
/* Ring the doorbell. */
void driver_notify(struct Bed *b, struct Input *in);
/* An honest request: descriptors, the offer, the doorbell. */
void driver_request(struct Bed *b, struct Input *in);
/* The same to the disk, of any type, at any sector. */
void driver_disk_request(struct Bed *b, struct Input *in);
/* Something in the device's configuration space. */
void driver_configure(struct Bed *b, struct Input *in);

#endif
